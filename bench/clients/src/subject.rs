//! The clients that are compared, each as its documentation shows how to use it.

use std::future::Future;

use anyhow::{Context, ensure};

/// What is written, and is there to be read.
const VALUE: &[u8] = &[b'x'; 100];

/// A client with one connection; clones share it.
pub trait Subject: Clone + Send + Sync + 'static {
    /// Reads the znode, and sees to it that all of the value came.
    fn get(&self) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Writes the znode.
    fn set(&self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Reefkeeper's.
#[derive(Clone)]
pub struct Ours(reefkeeper_client::Client);

impl Ours {
    const PATH: &str = "/clients-ours";

    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        let client = reefkeeper_client::Client::connect(address).await?;
        let mode = reefkeeper_client::CreateMode::Persistent;
        client.ensure(Self::PATH, mode).await?;
        client.set_data(Self::PATH, VALUE, None).await?;
        Ok(Self(client))
    }
}

impl Subject for Ours {
    async fn get(&self) -> anyhow::Result<()> {
        let data = self.0.get_data(Self::PATH).await?;
        ensure!(data.bytes().len() == VALUE.len());
        Ok(())
    }

    async fn set(&self) -> anyhow::Result<()> {
        self.0.set_data(Self::PATH, VALUE, None).await?;
        Ok(())
    }
}

/// The crate `zookeeper-client`.
#[derive(Clone)]
pub struct ZookeeperClient(zookeeper_client::Client);

impl ZookeeperClient {
    const PATH: &str = "/clients-zookeeper-client";

    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        use zookeeper_client::{Acls, Client, CreateMode};
        let client = Client::connect(address).await?;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.mkdir(Self::PATH, &options).await?;
        client.set_data(Self::PATH, VALUE, None).await?;
        Ok(Self(client))
    }
}

impl Subject for ZookeeperClient {
    async fn get(&self) -> anyhow::Result<()> {
        let (data, _) = self.0.get_data(Self::PATH).await?;
        ensure!(data.len() == VALUE.len());
        Ok(())
    }

    async fn set(&self) -> anyhow::Result<()> {
        self.0.set_data(Self::PATH, VALUE, None).await?;
        Ok(())
    }
}

/// The crate `tokio-zookeeper`.
#[derive(Clone)]
pub struct TokioZookeeper(tokio_zookeeper::ZooKeeper);

impl TokioZookeeper {
    const PATH: &str = "/clients-tokio-zookeeper";

    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        use tokio_zookeeper::{Acl, CreateMode, ZooKeeper};
        // It sends to whoever holds the events; nobody needs them here.
        let (client, _) = ZooKeeper::connect(&address.parse()?).await?;
        // It may be there from another run.
        let _ =
            client.create(Self::PATH, VALUE, Acl::open_unsafe(), CreateMode::Persistent).await?;
        Ok(Self(client))
    }
}

impl Subject for TokioZookeeper {
    async fn get(&self) -> anyhow::Result<()> {
        let (data, _) = self.0.get_data(Self::PATH).await?.context("no such znode")?;
        ensure!(data.len() == VALUE.len());
        Ok(())
    }

    async fn set(&self) -> anyhow::Result<()> {
        self.0.set_data(Self::PATH, None, VALUE).await??;
        Ok(())
    }
}
