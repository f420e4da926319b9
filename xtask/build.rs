//! Tells the program which platform it is built for.

fn main() {
    let platform = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=XTASK_PLATFORM={platform}");
    println!("cargo::rerun-if-changed=build.rs");
}
