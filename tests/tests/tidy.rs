//! The repository's own rules, as far as a program can hold them. Each names the file and the line
//! that breaks it.

#[path = "tidy/commands.rs"]
mod commands;
#[path = "tidy/links.rs"]
mod links;
#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/releases.rs"]
mod releases;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tidegate_runtime::settings::KEYS;
use tidegate_tests::place::{files, folders, root, text};

/// Where the settings are described.
const SETTINGS: &str = "docs/src/reference/settings.md";

/// Variables that only checks read; CONTRIBUTING.md describes them.
const FOR_CHECKS: &[&str] = &[
    "TIDEGATE_BOOTSTRAPS",
    "TIDEGATE_DATA",
    "TIDEGATE_SEED",
    "TIDEGATE_SEEDS",
    "TIDEGATE_TOOLS",
    "TIDEGATE_TRACES",
];

#[test]
fn engines_depend_on_no_host() {
    let hosts = ["tokio", "aws-", "aws_", "lambda_", "lambda-", "tracing"];
    let mut problems = Vec::new();
    for engine in ["autoscaler", "kpl", "transform"] {
        let path = format!("crates/{engine}/Cargo.toml");
        let names = dependencies(&manifest(Path::new(&path)));
        assert!(!names.is_empty(), "{path} has no dependency");
        for name in names {
            if hosts.iter().any(|host| name.starts_with(host)) {
                let line = text(&path).lines().position(|line| line.contains(&name));
                let line = line.map_or(0, |line| line + 1);
                problems.push(format!("{path}:{line}: an engine does not depend on {name}"));
            }
        }
    }
    report(&problems);
}

#[test]
fn engines_read_no_clock_and_no_environment() {
    let clocks = ["SystemTime::now", "Timestamp::now", "Instant::now", "Zoned::now"];
    let mut problems = Vec::new();
    // The consumer's folder of quarantined records tells its own scratch files from those of another
    // process by that process's number.
    let host = ["std::env", "env::var", "std::process"];
    for (engine, host) in
        [("autoscaler", &host[..]), ("kpl", &host), ("transform", &host), ("consumer", &host[..2])]
    {
        problems.extend(found(&code(&format!("crates/{engine}/src")), host));
    }
    let clock = Path::new("crates/runtime/src/clock.rs");
    let elsewhere: Vec<_> =
        ["crates", "functions"].into_iter().flat_map(code).filter(|path| path != clock).collect();
    problems.extend(found(&elsewhere, &clocks));
    report(&problems);
}

#[test]
fn every_setting_is_read_and_described() {
    let keys: BTreeSet<_> = KEYS.iter().map(|key| (*key).to_owned()).collect();
    let read: BTreeSet<_> =
        code("functions").iter().flat_map(|path| literals(&text(path))).collect();
    let rows: BTreeSet<_> = text(SETTINGS)
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .filter(|name| name.starts_with("TIDEGATE_"))
        .collect();
    assert_eq!(read, keys, "the functions (left) and settings::KEYS (right)");
    assert_eq!(rows, keys, "{SETTINGS} (left) and settings::KEYS (right)");
}

#[test]
fn every_variable_that_is_named_exists() {
    let known =
        |name: &str, checks: bool| KEYS.contains(&name) || checks && FOR_CHECKS.contains(&name);
    let mut problems = Vec::new();
    for path in files(&["rs", "md", "yaml"]) {
        // Its own tests misspell one.
        if path.ends_with("crates/runtime/src/settings.rs") {
            continue;
        }
        let name = path.to_string_lossy().into_owned();
        let rust = name.ends_with(".rs");
        let checks =
            name == "CONTRIBUTING.md" || name.contains("test") || name.starts_with("xtask");
        for (line, content) in text(&path).lines().enumerate() {
            let named = if rust { literals(content) } else { variables(content) };
            for variable in named.iter().filter(|variable| !known(variable, checks)) {
                problems.push(format!("{name}:{}: nothing reads {variable}", line + 1));
            }
        }
    }
    let contributing = text("CONTRIBUTING.md");
    for variable in FOR_CHECKS.iter().filter(|variable| !contributing.contains(**variable)) {
        problems.push(format!("CONTRIBUTING.md: {variable} is not described"));
    }
    report(&problems);
}

#[test]
fn every_parameter_is_described() {
    let page = text("docs/src/operating/deploying.md");
    let template = text("infra/template.yaml");
    let parameters: BTreeSet<_> = template
        .lines()
        .skip_while(|line| *line != "Parameters:")
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '))
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
        .filter(|name| !name.starts_with([' ', '#']))
        .collect();
    let section = page.split("\n## ").find(|section| section.starts_with("Parameters\n"));
    let rows: BTreeSet<_> = section
        .expect("the page has a section on parameters")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0))
        .collect();
    assert_eq!(rows, parameters, "the page (left) and infra/template.yaml (right)");
}

#[test]
fn a_file_is_one_idea() {
    let mut problems = Vec::new();
    for path in files(&["rs"]) {
        let lines = text(&path).lines().count();
        if lines > 500 {
            problems.push(format!("{}:{lines}: longer than 500 lines", path.display()));
        }
    }
    report(&problems);
}

#[test]
fn nothing_is_left_for_later() {
    // In halves, so that this file does not hold what it looks for.
    let needles = [
        concat!("#[ig", "nore"),
        concat!("```ig", "nore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
    ];
    let mut problems = Vec::new();
    for path in files(&["rs"]) {
        for (line, content) in text(&path).lines().enumerate() {
            for needle in needles.iter().filter(|needle| content.contains(**needle)) {
                problems.push(format!("{}:{}: {needle}", path.display(), line + 1));
            }
        }
    }
    report(&problems);
}

#[test]
fn a_folder_says_what_is_in_it() {
    let all = folders();
    assert!(all.len() > 10, "{all:?}");
    let vague = ["common", "shared", "utils", "util", "helpers"];
    let problems: Vec<_> = all
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| vague.iter().any(|v| name == *v)))
        .map(|path| format!("{}: this name says nothing", path.display()))
        .collect();
    report(&problems);
}

#[test]
fn the_map_shows_every_package_and_nothing_else() {
    let map = text("ARCHITECTURE.md");
    let mut problems = Vec::new();
    for path in files(&["toml"]).iter().filter(|path| path.ends_with("Cargo.toml")) {
        let folder = path.parent().unwrap_or(Path::new("")).to_string_lossy().into_owned();
        let manifest = manifest(path);
        let Some(package) = manifest.get("package").and_then(|p| p.get("name")?.as_str()) else {
            continue;
        };
        let place = if folder.starts_with("functions/") { "functions/*" } else { &folder };
        let shown = map.lines().any(|line| {
            let place = [format!("| `{place}` "), format!("| `{place}/` ")];
            place.iter().any(|p| line.starts_with(p)) && line.contains(&format!("`{package}`"))
        });
        if !shown {
            problems.push(format!("ARCHITECTURE.md: {package} in {folder} has no row"));
        }
    }
    for (line, content) in map.lines().enumerate() {
        // Every second piece stands between backticks.
        for name in content.split('`').skip(1).step_by(2) {
            let place = ["crates/", "functions/", "tests/", "docs/", "infra/", "pipelines/"]
                .iter()
                .any(|folder| name.starts_with(folder));
            if place && !name.contains('*') && !root().join(name).exists() {
                problems.push(format!("ARCHITECTURE.md:{}: {name} does not exist", line + 1));
            }
        }
    }
    report(&problems);
}

#[test]
fn everything_comes_from_public_sources() {
    let mut problems = Vec::new();
    let lock = text("Cargo.lock");
    for (line, content) in lock.lines().enumerate() {
        let elsewhere = content.starts_with("source = ")
            && content != "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        if elsewhere {
            problems.push(format!("Cargo.lock:{}: {content}", line + 1));
        }
    }
    let hosts = ["registry.npmjs.org", "pypi.org", "files.pythonhosted.org", "github.com"];
    let mut pins: Vec<_> =
        files(&["txt", "json"]).into_iter().filter(|p| p.starts_with("xtask/tools")).collect();
    assert!(pins.len() >= 3, "{pins:?}");
    pins.push(".cargo/config.toml".into());
    for path in pins {
        for (line, content) in text(&path).lines().enumerate() {
            let place = format!("{}:{}", path.display(), line + 1);
            // Who wants to be paid is no source.
            let url = content.split_once("://").filter(|_| !content.contains("\"url\": "));
            let host = url.map(|(_, rest)| rest.split(['/', '"', '\'']).next().unwrap_or_default());
            if let Some(host) = host.filter(|host| !hosts.contains(host)) {
                problems.push(format!("{place}: {host} is not a public source"));
            }
            if content.contains("index-url") || content.starts_with("[source") {
                problems.push(format!("{place}: a source is for the machine to say"));
            }
        }
    }
    report(&problems);
}

#[test]
fn every_reason_of_a_decision_is_explained() {
    // What only a stage says, never a decision as a whole.
    let of_stages = [
        "not_reached",
        "ok",
        "accepted",
        "rejected",
        "read_side",
        "recent_peak",
        "usual_growth",
        "surge",
        "earlier_days",
        "peak_of_the_day",
        "cheaper_reshard",
        "larger_step",
    ];
    let source = text("crates/autoscaler/src/decision.rs");
    let body = source.split("pub enum Reason {").nth(1).and_then(|rest| rest.split("\n}").next());
    let reasons: Vec<_> = body
        .expect("the file has the enum")
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .map(snake)
        .collect();
    assert!(reasons.len() > 30, "{reasons:?}");
    let stale: Vec<_> = of_stages.iter().filter(|r| !reasons.iter().any(|x| x == *r)).collect();
    assert!(stale.is_empty(), "no reason any more: {stale:?}");
    let page = text("docs/src/autoscaler.md");
    let problems: Vec<_> = reasons
        .iter()
        .filter(|reason| !of_stages.contains(&reason.as_str()))
        .filter(|reason| !page.contains(&format!("`{reason}`")))
        .map(|reason| format!("docs/src/autoscaler.md: the reason {reason} is not explained"))
        .collect();
    report(&problems);
}

/// What is told is told by name on the page, and nothing else is said to be.
#[test]
fn every_hold_that_is_told_is_named() {
    let variants = |source: &str, function: &str| -> BTreeSet<String> {
        let body = source.split(function).nth(1).unwrap_or_default();
        let body = body.split("\n    }\n").next().unwrap_or_default();
        let names = body.split("Self::").skip(1);
        let word =
            |text: &str| text.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
        names.map(|name| snake(&word(name))).filter(|name| !name.is_empty()).collect()
    };
    let told = variants(&text("crates/autoscaler/src/notice.rs"), "fn is_to_be_told");
    let failures = variants(&text("crates/autoscaler/src/decision.rs"), "fn is_failure");
    let page = text("docs/src/autoscaler.md");
    let line = page.lines().find(|line| line.starts_with("Told are the holds"));
    let sentence = line.and_then(|line| line.split(" Not told is ").next()).unwrap_or_default();
    let named: BTreeSet<_> =
        sentence.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
    assert_eq!(named, told.union(&failures).cloned().collect(), "the page (left) and the code");
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

/// The Rust files of what is deployed or run, below a folder: in `src`, and not a file of tests.
fn code(folder: &str) -> Vec<PathBuf> {
    let in_src = |path: &Path| path.iter().any(|part| part == "src");
    let found: Vec<_> = files(&["rs"])
        .into_iter()
        .filter(|path| path.starts_with(folder) && in_src(path) && !path.ends_with("tests.rs"))
        .collect();
    assert!(!found.is_empty(), "there is no code in {folder}");
    found
}

/// The lines of code that hold one of the needles; what a comment says is no matter.
fn found(paths: &[PathBuf], needles: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    for path in paths {
        for (line, content) in text(path).lines().enumerate() {
            let comment = content.trim_start().starts_with("//");
            for needle in needles.iter().filter(|needle| !comment && content.contains(**needle)) {
                problems.push(format!("{}:{}: {needle}", path.display(), line + 1));
            }
        }
    }
    problems
}

/// The words that begin with `TIDEGATE_`.
fn variables(text: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !word(c))
        .filter(|name| name.len() > "TIDEGATE_".len() && name.starts_with("TIDEGATE_"))
        .map(ToOwned::to_owned)
        .collect()
}

/// The strings of Rust code that are such a word and nothing else.
fn literals(text: &str) -> Vec<String> {
    let quoted = |name: &String| text.contains(&format!("\"{name}\""));
    variables(text).into_iter().filter(quoted).collect()
}

fn manifest(path: &Path) -> toml::Table {
    text(path).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the packages that a manifest depends on directly, in whatever table.
fn dependencies(table: &toml::Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            for (name, wanted) in inner {
                let renamed = wanted.get("package").and_then(toml::Value::as_str);
                names.push(renamed.unwrap_or(name).to_owned());
            }
        } else {
            names.extend(dependencies(inner));
        }
    }
    names
}

fn snake(name: &str) -> String {
    let mut word = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(c.to_lowercase());
    }
    word
}
