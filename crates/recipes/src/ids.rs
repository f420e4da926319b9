//! Numbers that are given out once.

use std::ops::Range;

use reefkeeper_client::Sessions;
use tokio::sync::Mutex;

use crate::atomic::Counter;
use crate::error::Error;
use crate::mutant;

/// Numbers that are given out once, whoever asks, in blocks, so that most cost no request.
///
/// ```
/// # fixture::example(async |ensemble| {
/// use reefkeeper_client::Client;
/// use reefkeeper_recipes::IdGenerator;
///
/// let client = Client::connect(ensemble).await?;
/// let orders = IdGenerator::new(&client, "/orders/last-id", 100);
/// let others = IdGenerator::new(&client, "/orders/last-id", 100);
/// assert_eq!([orders.next().await?, orders.next().await?], [1, 2]);
/// assert_eq!([others.next().await?, others.next().await?], [101, 102]);
/// # Ok(()) });
/// ```
///
/// The numbers of one generator grow; those of several are not in the order in which they are given out,
/// and a block of which a program used a part is not given out again.
///
/// # When things go wrong
///
/// When the connection is lost while a block is reserved, another one is: numbers may be left out, and
/// none is given out twice. The znode holds how far blocks were given out, as a [`Counter`] does.
#[derive(Debug)]
pub struct IdGenerator {
    counter: Counter,
    block: u32,
    /// What is left of the last block. Held while the next one is reserved.
    left: Mutex<Range<i64>>,
}

impl IdGenerator {
    /// The generator whose counter is at that path, which need not exist; it reserves so many numbers at
    /// once, at least one.
    pub fn new(sessions: impl Into<Sessions>, path: impl Into<String>, block: u32) -> Self {
        let counter = Counter::new(sessions, path);
        Self { counter, block: block.max(1), left: Mutex::new(0..0) }
    }

    /// A number that nobody else gets; the first is 1.
    ///
    /// # Errors
    /// Those of [`Counter::add`], unless another try does no harm.
    pub async fn next(&self) -> Result<i64, Error> {
        let mut left = self.left.lock().await;
        if left.is_empty() {
            *left = self.reserve().await?;
        }
        let id = left.start;
        left.start += 1;
        Ok(id)
    }

    async fn reserve(&self) -> Result<Range<i64>, Error> {
        let block = i64::from(self.block);
        loop {
            match self.counter.add(block).await {
                Ok(last) if mutant::active(19) => return Ok(last - block..last + 1),
                Ok(last) => return Ok(last - block + 1..last + 1),
                // A block that is reserved and not used does no harm.
                Err(error) if error.may_have_happened() => {}
                Err(error) => return Err(error),
            }
        }
    }
}
