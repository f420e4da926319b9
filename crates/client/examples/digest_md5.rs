//! Authenticates with SASL's DIGEST-MD5 (RFC 2831), as Apache's servers offer it for users with passwords,
//! and says who the server takes this client for.
//!
//! ```text
//! cargo run --example digest_md5 -- localhost:2181 alice secret
//! ```
//!
//! With `--wait` it says so again for each line on its standard input, over whatever connection there is then.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead};

use md5::{Digest, Md5};
use reefkeeper_client::{Client, Sasl, SaslStep};

/// What Apache's servers are called unless they are told another name.
const DIGEST_URI: &str = "zookeeper/zk-sasl-md5";

/// One exchange.
struct DigestMd5 {
    user: String,
    password: String,
    /// What the server has to say in the end; `None` until it is known.
    proof_due: Option<String>,
}

impl Sasl for DigestMd5 {
    /// The server has the first word; this asks for it.
    fn begin(&mut self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn answer(&mut self, token: Option<&[u8]>) -> io::Result<SaslStep> {
        let token = token.ok_or_else(|| io::Error::other("the server broke off"))?;
        let said = fields(&String::from_utf8_lossy(token));
        if let Some(proof) = &self.proof_due {
            return match said.get("rspauth") {
                Some(given) if given == proof => Ok(SaslStep::Done),
                _ => Err(io::Error::other("the server does not know the password either")),
            };
        }
        let nonce = said.get("nonce").ok_or_else(|| io::Error::other("no nonce"))?;
        let realm = said.get("realm").map(String::as_str).unwrap_or_default();
        let cnonce = random();
        let digest = |purpose: &str| self.digest(realm, nonce, &cnonce, purpose);
        let (response, proof) = (digest("AUTHENTICATE"), digest(""));
        self.proof_due = Some(proof);
        let user = &self.user;
        Ok(SaslStep::Token(
            format!(
                "charset=utf-8,username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",\
                 nc=00000001,cnonce=\"{cnonce}\",digest-uri=\"{DIGEST_URI}\",qop=auth,\
                 response={response}"
            )
            .into(),
        ))
    }
}

impl DigestMd5 {
    fn digest(&self, realm: &str, nonce: &str, cnonce: &str, purpose: &str) -> String {
        let secret = Md5::digest(format!("{}:{realm}:{}", self.user, self.password));
        let session = format!(":{nonce}:{cnonce}");
        let key = Md5::new().chain_update(secret).chain_update(session).finalize();
        let what = Md5::digest(format!("{purpose}:{DIGEST_URI}"));
        let (key, what) = (hex(&key), hex(&what));
        hex(&Md5::digest(format!("{key}:{nonce}:00000001:{cnonce}:auth:{what}")))
    }
}

/// Reads `name=value,name="value"`; no value that is needed here has a comma in it.
fn fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_types, reason = "this is the program's own randomness")]
fn random() -> String {
    use std::hash::BuildHasher;
    format!("{:016x}", std::hash::RandomState::new().hash_one(DIGEST_URI))
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows something")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [ensemble, user, password, more @ ..] = &words[..] else {
        return Err("usage: digest_md5 SERVERS USER PASSWORD [--wait]".into());
    };
    let (user, password) = (user.clone(), password.clone());
    let client = Client::builder(ensemble)
        .sasl(move |_server| DigestMd5 {
            user: user.clone(),
            password: password.clone(),
            proof_due: None,
        })
        .connect()
        .await?;
    loop {
        client.connected().await?;
        let identities = client.patiently(async || client.whoami().await).await?;
        let names = identities.iter().map(|id| format!("{}:{}", id.scheme, id.user));
        println!("{}", names.collect::<Vec<_>>().join(" "));
        let is_asked = tokio::task::spawn_blocking(|| io::stdin().lock().lines().next());
        if more.is_empty() || is_asked.await?.is_none() {
            break;
        }
    }
    client.close().await?;
    Ok(())
}
