//! `make bench`: Kafka and Chronik side by side. `--quick` for a first look, `--kafka` or
//! `--chronik` for one of them alone.

#![allow(clippy::print_stdout, reason = "a table on the terminal is what this program is for")]

use anyhow::{Result, bail};
use chronik_e2e::bench::rounds::{self, Size, Which};

fn main() -> Result<()> {
    let mut size = Size {
        rounds: 3,
        bytes: 512 << 20,
        rate_seconds: 30,
        end_to_end: 5_000,
        idle_partitions: 1_000,
        systems: vec![Which::Kafka, Which::Chronik],
    };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => {
                size.rounds = 1;
                size.bytes = 64 << 20;
                size.rate_seconds = 15;
                size.end_to_end = 1_000;
                size.idle_partitions = 0;
            }
            "--kafka" => size.systems = vec![Which::Kafka],
            "--chronik" => size.systems = vec![Which::Chronik],
            other => bail!("unknown argument {other}; there are --quick, --kafka and --chronik"),
        }
    }
    let start = std::time::Instant::now();
    let table = rounds::run(&size, |text| println!("[{:4} s] {text}", start.elapsed().as_secs()))?;
    println!(
        "\nMiddle value of {} rounds. In brackets: how many times better than Kafka.",
        size.rounds
    );
    println!(
        "\"synced\": acknowledged when a quorum has it on disk. \"received\": when a quorum has it"
    );
    println!("in the page cache, as Kafka does.\n\n{}", table.render());
    Ok(())
}
