//! Which scenarios run, what they found, and what is kept of a cluster when one fails.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::kube::kubectl::Kubectl;
use crate::kube::release;
use crate::kube::scenarios::{ALL, Scenario};
use crate::kube::world::{NAMESPACE, Step, World};
use crate::workspace;

/// How a scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    /// It did not run, and counts as nothing.
    LeftOut,
}

/// What a run ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Scenarios that found nothing wrong.
    pub passed: usize,
    /// Scenarios that did.
    pub failed: usize,
    /// Scenarios that did not run.
    pub left_out: usize,
}

/// Runs the scenarios that `wanted` says yes to, one after the other on one cluster, and ends with
/// the first that fails: a cluster in trouble proves nothing about the rest.
pub fn run(
    world: &mut World,
    wanted: impl Fn(&Scenario) -> bool,
    say: impl Fn(&str),
) -> Result<Tally> {
    let mut tally = Tally { passed: 0, failed: 0, left_out: 0 };
    for scenario in ALL.iter().filter(|scenario| wanted(scenario)) {
        let count = match run_one(world, scenario, tally.failed > 0, &say)? {
            End::Passed => &mut tally.passed,
            End::Failed => &mut tally.failed,
            End::LeftOut => &mut tally.left_out,
        };
        *count += 1;
    }
    Ok(tally)
}

fn run_one(
    world: &mut World,
    scenario: &'static Scenario,
    is_over: bool,
    say: &impl Fn(&str),
) -> Result<End> {
    let name = scenario.name;
    if is_over {
        say(&format!("LEFT OUT: {name}: an earlier scenario failed"));
        return Ok(End::LeftOut);
    }
    let lacks = world.provider.lacks(scenario.needs);
    if !lacks.is_empty() {
        say(&format!("LEFT OUT: {name}: this Kubernetes cannot {}", lacks.join(", ")));
        return Ok(End::LeftOut);
    }
    say(&format!("{name}: {}", scenario.what));
    let (start, before) = (Instant::now(), world.steps.len());
    world.scenario = name;
    let result = world.ensure_cluster().and_then(|()| (scenario.run)(world));
    for step in world.steps.get(before..).unwrap_or_default() {
        say(&format!("  {}", line(step)));
    }
    match result {
        Ok(()) => {
            say(&format!("  ok after {:.1} s", start.elapsed().as_secs_f64()));
            Ok(End::Passed)
        }
        Err(error) => {
            say(&format!("  FAILED after {:.1} s: {error:#}", start.elapsed().as_secs_f64()));
            say(&format!("  what was there is kept in {}", keep(world, name)?.display()));
            Ok(End::Failed)
        }
    }
}

fn line(step: &Step) -> String {
    let took = match step.took {
        Duration::ZERO => String::new(),
        took => format!(", {:.1} s", took.as_secs_f64()),
    };
    let pause = step.pause.map(|pause| {
        let (whole, partition) = (pause.whole.as_secs_f64(), pause.partition.as_secs_f64());
        format!(", longest pause {whole:.2} s, of one partition {partition:.2} s")
    });
    format!("{}{took}{}", step.name, pause.unwrap_or_default())
}

/// The steps as a table for a document.
#[must_use]
pub fn table(steps: &[Step]) -> String {
    let mut text = String::from(
        "| scenario | step | took | longest pause | of one partition |\n|---|---|---|---|---|\n",
    );
    for step in steps {
        let took = match step.took {
            Duration::ZERO => String::new(),
            took => format!("{:.1} s", took.as_secs_f64()),
        };
        let cell = |pause: Option<Duration>| {
            pause.map(|pause| format!("{:.2} s", pause.as_secs_f64())).unwrap_or_default()
        };
        let whole = cell(step.pause.map(|pause| pause.whole));
        let partition = cell(step.pause.map(|pause| pause.partition));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {took} | {whole} | {partition} |",
            step.scenario, step.name
        );
    }
    text
}

/// Keeps what Kubernetes and the processes say, for whoever looks into a failure.
fn keep(world: &World, scenario: &str) -> Result<PathBuf> {
    let dir = workspace::target().join("kube-failures").join(scenario);
    std::fs::create_dir_all(&dir)?;
    let write = |name: &str, text: Result<String>| {
        let text = text.unwrap_or_else(|error| format!("{error:#}"));
        std::fs::write(dir.join(name), text)
    };
    let system = Kubectl::new(release::NAMESPACE);
    for (kubectl, namespace) in [(&world.kubectl, NAMESPACE), (&system, release::NAMESPACE)] {
        write(
            &format!("{namespace}.events"),
            kubectl.run(&["get", "events", "--sort-by=.lastTimestamp"]),
        )?;
        write(&format!("{namespace}.yaml"), kubectl.run(&[
            "get",
            "-o",
            "yaml",
            "pods,statefulsets,services,configmaps,persistentvolumeclaims,poddisruptionbudgets,leases",
        ]))?;
        for pod in kubectl.run(&["get", "pods", "-o", "name"]).unwrap_or_default().lines() {
            let file = pod.replace('/', "-");
            write(&format!("{file}.log"), kubectl.run(&["logs", pod]))?;
            write(&format!("{file}.previous.log"), kubectl.run(&["logs", "--previous", pod]))?;
        }
    }
    write("clusters.yaml", world.kubectl.run(&["get", "chronikclusters", "-o", "yaml"]))?;
    write("topics.yaml", world.kubectl.run(&["get", "chroniktopics", "-o", "yaml"]))?;
    write("describe.txt", world.cluster.describe().map(|nodes| format!("{nodes:#?}")))?;
    Ok(dir)
}
