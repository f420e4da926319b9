//! x
fn main() {
    std::process::exit(i32::from(shell::run(std::env::args().skip(1))))
}
