//! `echo [ADDRESS [VALUE_BYTES [LOG]]]`: listens on ADDRESS (default 127.0.0.1:2199), says so on
//! standard output, and serves until it is killed. With LOG, the path of a file that does not exist
//! yet, requests that change something are answered when they are durable in it.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use echo::{Echo, Log};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:2199".to_owned());
    let value_bytes = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let log = arguments.next().map(|path| Log::create(Path::new(&path))).transpose()?;
    let echo = Echo::bind(address.parse()?, value_bytes, log)?;
    writeln!(std::io::stdout(), "listening on {}", echo.local_addr()?)?;
    echo.serve()?;
    Ok(())
}
