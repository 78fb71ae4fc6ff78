//! `make e2e`: the scenarios of `chronik_e2e::kube` on the Kubernetes that the environment names.
//! `--short` for those that `make test` runs, `--table FILE` for a table of what was seen, and names
//! of scenarios for these alone. `e2e/kube` prepares everything and starts it. As `client BOOTSTRAP
//! TOPIC` it is what these tests run in a pod.

#![allow(clippy::print_stdout, reason = "it takes minutes and says where it is")]

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chronik_e2e::kube::scenarios::{ALL, Scenario};
use chronik_e2e::kube::world::World;
use chronik_e2e::kube::{client, runner};

fn main() -> Result<ExitCode> {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    if let [command, bootstrap, topic] = typed.as_slice()
        && command == "client"
    {
        println!("{} records acknowledged and read", client::run(bootstrap, topic)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (mut is_short, mut table, mut names) = (false, None, Vec::new());
    let mut arguments = typed.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--short" => is_short = true,
            "--table" => table = Some(arguments.next().context("--table needs a file")?),
            name if ALL.iter().any(|scenario| scenario.name == name) => names.push(argument),
            other => {
                let all: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
                bail!("unknown scenario {other}; there are {}", all.join(", "));
            }
        }
    }
    let image = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let (operator, broker) = (image("OPERATOR_IMAGE")?, image("BROKER_IMAGE")?);
    let mut world = World::new(&operator, &broker, &image("CLIENT_IMAGE")?, !is_short)?;
    let wanted = |scenario: &Scenario| {
        (!is_short || scenario.is_short)
            && (names.is_empty() || names.iter().any(|name| name == scenario.name))
    };
    let tally = runner::run(&mut world, wanted, |text| println!("{text}"))?;
    if let Some(file) = table {
        std::fs::write(&file, runner::table(&world.steps))
            .with_context(|| format!("cannot write {file}"))?;
    }
    // The one line that says how it ended; what was left out counts as nothing.
    println!(
        "kubernetes: {} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.left_out
    );
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
