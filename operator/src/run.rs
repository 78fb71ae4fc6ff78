//! The commands: the loop of `run`, and the single looks of `plan` and `status`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chronik_plan::{Operation, Plan, Refusal};

use crate::api::cluster::ChronikCluster;
use crate::cli::LocalArgs;
use crate::manifest;
use crate::platform::local::Local;
use crate::reconcile::{Pass, Reconciler, describe};
use crate::side_effects::SideEffects;
use crate::table::{Screen, notes, table};
use crate::validate::{Wanted, validate, without_effect_here};

/// A user waits for the first record.
const FORMING: Duration = Duration::from_millis(50);
const BUSY: Duration = Duration::from_millis(200);
const IDLE: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(250);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum RunError {
    #[error(transparent)]
    Manifest(#[from] manifest::ManifestError),
    #[error("the manifest is refused:\n{}", lines(.0))]
    Refused(Vec<Refusal>),
    #[error(transparent)]
    Local(#[from] crate::platform::local::LocalError),
    #[error("no broker program at {0}; build it, or name it with --broker")]
    NoBroker(PathBuf),
    #[error("the screen could not be written")]
    Screen(#[from] std::io::Error),
    #[error("no state of {0}: the operator has not run it from here")]
    NoStatus(String),
}

fn lines(refusals: &[Refusal]) -> String {
    refusals.iter().map(|r| format!("  {r}")).collect::<Vec<_>>().join("\n")
}

fn load(
    file: &Path,
    before: Option<&ChronikCluster>,
) -> Result<(ChronikCluster, Wanted), RunError> {
    let cluster = manifest::read(file)?;
    let wanted = validate(&cluster, before).map_err(RunError::Refused)?;
    wanted.fits_one_machine().map_err(RunError::Refused)?;
    if let Some(before) = before
        && before.metadata.name != cluster.metadata.name
    {
        return Err(RunError::Refused(vec![Refusal {
            field: "metadata.name".into(),
            value: wanted.name,
            reason: "a cluster that runs keeps its name; stop it first".into(),
        }]));
    }
    Ok((cluster, wanted))
}

fn open(local: &LocalArgs, wanted: &Wanted) -> Result<Reconciler<Local>, RunError> {
    let beside = || {
        let program = std::env::current_exe().ok()?;
        Some(program.parent()?.join("chronik-broker"))
    };
    let broker = local.broker.clone().or_else(beside).unwrap_or_else(|| "chronik-broker".into());
    if !broker.is_file() {
        return Err(RunError::NoBroker(broker));
    }
    let broker = std::path::absolute(broker)?;
    let platform = Local::open(&local.state_dir, &broker, wanted)?;
    Ok(Reconciler::new(platform, SideEffects::from_environment()))
}

/// Brings the cluster to what the manifest says and keeps it there, until told to end.
pub async fn run(file: &Path, local: &LocalArgs, exit_when_ready: bool) -> Result<(), RunError> {
    let (mut accepted, mut wanted) = load(file, None)?;
    let mut reconciler = open(local, &wanted)?;
    let mut screen = Screen::default();
    screen.say(&format!(
        "{}: {} brokers, data in {}",
        wanted.name,
        wanted.brokers,
        reconciler.platform.root().display()
    ))?;
    if let fields @ [_, ..] = without_effect_here(&accepted).as_slice() {
        screen.say(&format!("no effect on one machine: {}", fields.join(", ")))?;
    }
    let mut text = std::fs::read_to_string(file).unwrap_or_default();
    let mut end = std::pin::pin!(told_to_end());
    loop {
        let began = Instant::now();
        let pass = tokio::select! {
            pass = one_pass(&mut reconciler, &wanted) => pass?,
            () = &mut end => break,
        };
        write_status(reconciler.platform.root(), &pass);
        screen.show(&pass.status, &pass.done)?;
        if exit_when_ready && pass.status.phase == "Ready" {
            return Ok(());
        }
        let pause = match pass.plan.operation {
            Some(Operation::Form) => FORMING,
            None if pass.status.phase == "Ready" => IDLE,
            _ => BUSY,
        };
        loop {
            tokio::select! {
                () = tokio::time::sleep(GLANCE.min(pause)) => {}
                () = &mut end => return shut_down(reconciler, screen).await,
            }
            // An unreadable moment of an editor's save is not an edit.
            let now = std::fs::read_to_string(file).ok().filter(|t| *t != text);
            if let Some(now) = now {
                text = now;
                match load(file, Some(&accepted)) {
                    Ok((cluster, edited)) => {
                        screen.say(&format!("manifest changed: {} brokers", edited.brokers))?;
                        (accepted, wanted) = (cluster, edited);
                    }
                    Err(e) => {
                        screen.say(&format!("edit refused, nothing changes: {}", describe(&e)))?
                    }
                }
                break;
            }
            if began.elapsed() >= pause || reconciler.platform.lost_one() {
                break;
            }
        }
    }
    shut_down(reconciler, screen).await
}

async fn one_pass(
    reconciler: &mut Reconciler<Local>,
    wanted: &Wanted,
) -> Result<Pass, crate::platform::local::LocalError> {
    if wanted.paused {
        return reconciler.look(wanted).await;
    }
    reconciler.pass(wanted).await
}

async fn shut_down(mut reconciler: Reconciler<Local>, mut screen: Screen) -> Result<(), RunError> {
    screen.say("stopping; the data stays, and the next start resumes")?;
    tokio::select! {
        stopped = reconciler.platform.shutdown() => {
            stopped?;
            screen.say("stopped")?;
        }
        _ = tokio::signal::ctrl_c() => screen.say("brokers are left to end by themselves")?,
    }
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
pub async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// For people and scripts; nothing reads it to decide anything, so a failure is only logged.
fn write_status(root: &Path, pass: &Pass) {
    let (path, temporary) = (root.join("status.json"), root.join("status.json.new"));
    let text = serde_json::to_string_pretty(&pass.status).unwrap_or_default();
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        tracing::warn!(%error, "status was not written");
    }
}

/// Prints what would be done, and why not.
pub async fn plan(file: &Path, local: &LocalArgs) -> Result<(), RunError> {
    let (_, wanted) = load(file, None)?;
    let platform = Local::look(&local.state_dir, &wanted)?;
    let Pass { plan, status, .. } =
        Reconciler::new(platform, SideEffects::default()).look(&wanted).await?;
    let mut out = std::io::stdout().lock();
    for line in render(&plan).iter().chain(&table(&status)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A plan as lines.
#[must_use]
pub fn render(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(operation) = &plan.operation {
        lines.push(format!("now: {operation}"));
    }
    lines.extend(plan.steps.iter().map(|s| format!("do: {s}")));
    lines.extend(plan.waiting.iter().map(|w| format!("wait for: {w}")));
    lines.extend(plan.refused.iter().map(|r| format!("refused: {r}")));
    if lines.is_empty() {
        lines.push("nothing to do: the cluster is what the manifest says".into());
    }
    lines
}

/// Prints the state as of the last pass.
pub fn status(file: &Path, local: &LocalArgs) -> Result<(), RunError> {
    let (_, wanted) = load(file, None)?;
    let path = local.state_dir.join(&wanted.name).join("status.json");
    let text =
        std::fs::read_to_string(path).map_err(|_| RunError::NoStatus(wanted.name.clone()))?;
    let status = serde_json::from_str(&text).map_err(|_| RunError::NoStatus(wanted.name))?;
    let mut out = std::io::stdout().lock();
    for line in table(&status).iter().chain(&notes(&status)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}
