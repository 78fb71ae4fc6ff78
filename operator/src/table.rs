//! The live table on a terminal, and plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use crate::api::status::ClusterStatus;

/// Where the state of the cluster is shown.
#[derive(Debug)]
pub struct Screen {
    live: bool,
    drawn: usize,
    last: Vec<String>,
    greeted: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Screen { live: io::stdout().is_terminal(), drawn: 0, last: Vec::new(), greeted: false }
    }
}

impl Screen {
    /// Shows what was done and how things are.
    pub fn show(&mut self, status: &ClusterStatus, done: &[String]) -> io::Result<()> {
        let ready = status.phase == "Ready";
        if self.live {
            self.erase()?;
        }
        for line in done {
            self.print(line)?;
        }
        let notes = notes(status);
        if !self.live {
            for line in notes.iter().filter(|l| !self.last.contains(l)) {
                self.print(line)?;
            }
        }
        if ready && !self.greeted {
            self.greeted = true;
            for line in greeting(status) {
                self.print(&line)?;
            }
        }
        if self.live {
            self.draw(&[table(status), notes.clone()].concat())?;
        }
        self.last = notes;
        Ok(())
    }

    /// One line that stays.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        if self.live {
            self.erase()?;
        }
        self.print(line)
    }

    fn print(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }

    fn erase(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.drawn > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        self.drawn = 0;
        out.flush()
    }

    fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let width = rustix::termios::tcgetwinsize(io::stdout())
            .map_or(120, |size| usize::from(size.ws_col).max(40));
        let mut out = io::stdout().lock();
        for line in lines {
            // A line that wrapped would be counted as one and leave its rest behind.
            writeln!(out, "{}", line.chars().take(width - 1).collect::<String>())?;
        }
        self.drawn = lines.len();
        out.flush()
    }
}

/// The table: a line a broker.
#[must_use]
pub fn table(status: &ClusterStatus) -> Vec<String> {
    let row = |cells: [&str; 7]| {
        let [id, state, role, leaders, groups, catching_up, address] = cells;
        format!(
            "{id:>6}  {state:<9} {role:<8} {leaders:>7} {groups:>7}  {catching_up:<14} {address}"
        )
        .trim_end()
        .to_string()
    };
    let head = ["BROKER", "STATE", "__META", "LEADERS", "GROUPS", "CATCHING UP", "ADDRESS"];
    let mut lines = vec![String::new(), row(head)];
    for b in &status.brokers {
        let (id, leaders, groups) = (b.id.to_string(), b.leaders.to_string(), b.groups.to_string());
        lines.push(row([&id, &b.state, &b.role, &leaders, &groups, &b.catching_up, &b.address]));
    }
    lines.push(match &status.operation {
        Some(operation) => format!("{}: {operation}", status.phase),
        None => status.phase.clone(),
    });
    lines
}

/// What is waited for, refused or broken, a line each.
#[must_use]
pub fn notes(status: &ClusterStatus) -> Vec<String> {
    let label = |label: &'static str| move |text: &String| format!("{label}: {text}");
    let waiting = status.waiting.iter().map(label("waiting for"));
    let refused = status.refused.iter().map(label("refused"));
    let troubles = status.troubles.iter().map(label("trouble"));
    waiting.chain(refused).chain(troubles).chain(status.errors.iter().map(label("note"))).collect()
}

fn greeting(status: &ClusterStatus) -> Vec<String> {
    let bootstrap = &status.bootstrap;
    let on_path = |name: &str| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
    };
    let (produce, consume) = if on_path("kcat") {
        (
            format!("echo hello | kcat -b {bootstrap} -t greetings -P"),
            format!("kcat -b {bootstrap} -t greetings -C -e"),
        )
    } else {
        let tool = |name| format!("kafka-console-{name}.sh --bootstrap-server {bootstrap}");
        (
            format!("echo hello | {} --topic greetings", tool("producer")),
            format!("{} --topic greetings --from-beginning", tool("consumer")),
        )
    };
    vec![
        String::new(),
        format!("Ready. Kafka clients connect to  {bootstrap}"),
        format!("  produce:  {produce}"),
        format!("  consume:  {consume}"),
    ]
}
