//! `echo [ADDRESS [VALUE_BYTES]]`: listens on ADDRESS (default 127.0.0.1:2199), says so on standard
//! output, and serves until it is killed.

use std::error::Error;
use std::io::Write;

use echo::Echo;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:2199".to_owned());
    let value_bytes = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let echo = Echo::bind(address.parse()?, value_bytes)?;
    writeln!(std::io::stdout(), "listening on {}", echo.local_addr()?)?;
    echo.serve()?;
    Ok(())
}
