//! The house rules that a program can check. Each is a ratchet: lists of exceptions may only
//! shrink, and a rule that fails names the file and what to do.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 500;
const ARCHITECTURE_LINES_MAX: usize = 150;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of the repository with this extension, relative to its root.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root(), &mut |path, is_dir| {
        if !is_dir && path.extension().is_some_and(|found| found == extension) {
            found.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    });
    assert!(!found.is_empty(), "no .{extension} file found");
    found.sort();
    found
}

fn walk(dir: &Path, visit: &mut impl FnMut(&Path, bool)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "target" || name.starts_with('.') && name != ".ci" {
            continue;
        }
        let is_dir = path.is_dir();
        visit(&path, is_dir);
        if is_dir {
            walk(&path, visit);
        }
    }
}

/// Fails with every offender at once.
fn none(what: &str, offenders: impl IntoIterator<Item = String>) {
    let offenders: Vec<String> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

/// The dependency lines of a member's manifest, with the section that they are in.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let text = read(manifest);
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap().trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if section.contains("dependencies") && line.contains('=') {
            let name = line.split(['=', '.', ' ']).next().unwrap().trim_matches('"').to_owned();
            found.push((section.clone(), name));
        }
    }
    found
}

fn members() -> Vec<String> {
    let manifests = files("toml").into_iter().filter(|path| path.ends_with("Cargo.toml"));
    manifests
        .filter_map(|path| Some(path.parent()?.to_str()?.to_owned()))
        .filter(|member| !member.is_empty())
        .collect()
}

#[test]
fn files_are_short() {
    let long = files("rs").into_iter().filter_map(|path| {
        let lines = read(&path).lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", path.display()))
    });
    none(&format!("files of more than {LINES_MAX} lines; split them by responsibility"), long);
}

#[test]
fn files_begin_with_their_purpose() {
    let silent = files("rs").into_iter().filter(|path| {
        let text = read(path);
        !text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 8)
    });
    none(
        "files that do not begin with `//!` and what they are for",
        silent.map(|path| path.display().to_string()),
    );
}

#[test]
fn modules_have_names() {
    let banned = ["mod", "utils", "util", "common", "helpers", "helper", "misc"];
    let nameless = files("rs").into_iter().filter(|path| {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        banned.contains(&stem.as_str())
    });
    none(
        "`foo.rs` + `foo/` instead of mod.rs, and no drawers for anything",
        nameless.map(|path| path.display().to_string()),
    );
}

#[test]
fn nothing_is_left_undone() {
    // Spelled in parts, or this file would be the first to be found.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimple", "mented!("),
    ];
    let mut undone = Vec::new();
    for path in files("rs") {
        for (number, line) in read(&path).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                undone.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none("finish it, or open an issue and leave the code without a mark", undone);
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[ig", "nore");
    let ignored = files("rs").into_iter().filter(|path| read(path).contains(mark));
    none("a test that does not run says nothing", ignored.map(|path| path.display().to_string()));
}

#[test]
fn every_member_takes_the_workspaces_lints() {
    let without = members().into_iter().filter(|member| {
        !read(format!("{member}/Cargo.toml")).contains("[lints]\nworkspace = true")
    });
    none("members without `[lints] workspace = true`", without);
}

#[test]
fn only_the_bridge_names_prost_0_11() {
    let naming = members().into_iter().filter(|member| {
        member != "bridge"
            && read(format!("{member}/Cargo.toml"))
                .lines()
                .any(|line| line.starts_with("prost") && line.contains("0.11"))
    });
    none("prost 0.11 belongs to the bridge", naming);
    assert!(read("bridge/Cargo.toml").contains("prost = \"0.11\""));
}

/// Who may not know whom. The list of dependencies is the proof that does not rot.
#[test]
fn crates_know_only_whom_they_may() {
    let io =
        ["tokio", "tonic", "hyper", "kube", "rand", "rand_chacha", "rustix", "socket2", "tempfile"];
    let pure = |member: &str, also: &[&str]| -> Vec<String> {
        dependencies(&format!("{member}/Cargo.toml"))
            .into_iter()
            .filter(|(section, _)| !section.starts_with("dev-"))
            .filter(|(_, name)| io.contains(&name.as_str()) || also.contains(&name.as_str()))
            .map(|(_, name)| format!("{member} depends on {name}"))
            .collect()
    };
    none("the core has no IO", pure("broker/core", &["prost", "serde"]));
    none("the plan has no IO", pure("operator/plan", &["k8s-openapi", "chronik-core", "raft"]));
    let operator = dependencies("operator/Cargo.toml")
        .into_iter()
        .filter(|(_, name)| name == "chronik-core" || name == "chronik-broker");
    none("the operator knows brokers by their admin service only", operator.map(|(_, name)| name));
    let bridge: BTreeSet<String> = dependencies("bridge/Cargo.toml")
        .into_iter()
        .filter(|(section, _)| section == "dependencies")
        .map(|(_, name)| name)
        .collect();
    let allowed = ["bytes", "prost", "raft", "thiserror"].map(str::to_owned);
    assert_eq!(bridge, BTreeSet::from(allowed), "what the bridge depends on");
}

/// Mistakes are for the simulator: whoever could switch them on elsewhere would ship them.
#[test]
fn only_the_simulator_puts_mistakes_in() {
    let naming = members().into_iter().filter(|member| {
        let manifest = read(format!("{member}/Cargo.toml"));
        member != "e2e/sim" && manifest.contains("/mutants")
    });
    none("manifests that switch the feature mutants on", naming);
    let defaults = members().into_iter().filter(|member| {
        let manifest = read(format!("{member}/Cargo.toml"));
        manifest.lines().any(|line| line.starts_with("default =") && line.contains("mutants"))
    });
    none("members with mistakes by default", defaults);
}

#[test]
fn everything_comes_from_the_registry() {
    let foreign: Vec<String> = read("Cargo.lock")
        .lines()
        .filter(|line| line.starts_with("source = "))
        .filter(|line| !line.contains("registry+https://github.com/rust-lang/crates.io-index"))
        .map(str::to_owned)
        .collect();
    none("packages from elsewhere", foreign);
    let outside = members().into_iter().filter(|member| {
        read(format!("{member}/Cargo.toml")).lines().any(|line| line.contains("git = "))
    });
    none("members with dependencies by git", outside);
}

#[test]
fn the_architecture_names_every_directory() {
    let text = read("ARCHITECTURE.md");
    let lines = text.lines().count();
    assert!(lines <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has {lines} lines");
    let mut wanted: BTreeSet<String> = members().into_iter().collect();
    for entry in std::fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            wanted.insert(name);
        }
    }
    let unnamed = wanted.into_iter().filter(|dir| !text.contains(&format!("{dir}/")));
    none("directories that ARCHITECTURE.md does not name", unnamed);
}

#[test]
fn decisions_are_numbered_and_complete() {
    let mut numbers = Vec::new();
    let mut incomplete = Vec::new();
    for path in files("md").into_iter().filter(|path| path.starts_with("docs/adr")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        numbers.push(name.split('-').next().unwrap().parse::<usize>().unwrap_or(0));
        let text = read(&path);
        for section in ["## Context", "## Decision", "## Consequences", "## Log"] {
            if !text.contains(section) {
                incomplete.push(format!("{name} has no {section}"));
            }
        }
    }
    numbers.sort_unstable();
    let expected: Vec<usize> = (1..=numbers.len()).collect();
    assert_eq!(numbers, expected, "decisions are numbered from 001 without holes");
    none("a decision says why, what, what follows, and what became of it", incomplete);
}

#[test]
fn the_changelog_has_an_unreleased_section() {
    assert!(read("CHANGELOG.md").contains("\n## Unreleased\n"));
}

#[test]
fn what_ci_runs_is_what_the_readme_says() {
    let makefile = read("Makefile");
    let readme = read("README.md");
    for target in ["up", "test", "bench"] {
        assert!(makefile.contains(&format!("\n{target}:")), "the Makefile has no {target}");
        assert!(
            readme.contains(&format!("make {target}")),
            "the README does not say make {target}"
        );
    }
    let script = read(".ci/run");
    let commands: Vec<&str> =
        script.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(commands, ["cd \"$(dirname \"$0\")/..\" && exec make test"]);
    assert!(read("LICENSE").contains("Apache License"));
}
