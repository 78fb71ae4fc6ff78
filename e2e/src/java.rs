//! Apache Kafka's jars: its clients, its tools, and the broker that we are measured against.
//!
//! They come from Maven Central with `mvn`, once, and lie in `target/kafka` and its like.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// The version that Chronik's protocol table follows.
pub const KAFKA_VERSION: &str = "4.1.1";

/// The first tools with `--warmup-records` (KIP-1052): without it the 99th percentile of a run of
/// a minute is the start of the tool's own virtual machine.
const WARM_TOOLS_VERSION: &str = "4.2.1";

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>chronik</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>VERSION</version></dependency>
  </dependencies>
</project>
"#;

/// Kafka's jars on this machine.
#[derive(Debug, Clone)]
pub struct Jars {
    dir: PathBuf,
}

impl Jars {
    /// Fetches them if they are not there yet.
    pub fn fetch() -> Result<Jars> {
        Jars::fetch_version("kafka", KAFKA_VERSION)
    }

    /// Tools whose producer can leave its first records out of what it measures.
    pub fn fetch_warm_tools() -> Result<Jars> {
        Jars::fetch_version("kafka-warm-tools", WARM_TOOLS_VERSION)
    }

    fn fetch_version(name: &str, version: &str) -> Result<Jars> {
        let jars = Jars { dir: workspace::target().join(name) };
        let marker = jars.dir.join(format!("complete-{version}"));
        if marker.exists() {
            return Ok(jars);
        }
        std::fs::create_dir_all(&jars.dir)?;
        std::fs::write(jars.dir.join("pom.xml"), POM.replace("VERSION", version))?;
        let output = Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"])
            .current_dir(&jars.dir)
            .output()
            .context("cannot run mvn; install it with: apt-get install -y maven")?;
        if !output.status.success() {
            bail!("mvn could not fetch Kafka {version}:\n{}", text(&output));
        }
        std::fs::write(marker, "")?;
        Ok(jars)
    }

    /// A `java` command for one of Kafka's main classes.
    pub fn command(&self, heap: &str, class: &str) -> Command {
        let mut command = Command::new("java");
        command.arg("-cp").arg(format!("{}/lib/*", self.dir.display()));
        // Without a configuration log4j prints errors only, which is what a test wants to see.
        command.args([&format!("-Xmx{heap}"), "-XX:+UseG1GC", class]);
        command
    }

    /// Runs one of Kafka's tools to its end; its output, or an error with it.
    pub fn run(&self, class: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command("512m", class).args(arguments).output()?;
        if !output.status.success() {
            bail!("{class} {arguments:?} failed: {}\n{}", output.status, text(&output));
        }
        Ok(text(&output))
    }

    /// Where the jars lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn text(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}
