//! Measures a cold compile of 100 nodes, 10,000 pods and 1,000 policies against decoding the same bytes, and a cold diff
//! of one changed policy and a check from the cache against that, in seconds of CPU, and compares with what is committed. Run from the workspace's root, after a release build of everything.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program reads files, starts processes and prints what it measured"
)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use chainmail_manifest as manifest;
use chainmail_manifest::source;
use chainmail_tests::bench_input::{Size, write};
use serde::Deserialize;

const SIZE: Size = Size { nodes: 100, pods: 10_000, policies: 1_000, seed: 1 };
const RUNS: usize = 7;
const COMMITTED: &str = "tests/bench/committed.toml";
/// What a diff may cost, in whole compiles: a side that was not changed should cost next to nothing.
const DIFF_AT_MOST: f64 = 1.3;
/// How much more than what is committed is a failure.
const SLACK: f64 = 1.5;
/// What `/proc` counts CPU time in (`man 5 proc`, `getconf CLK_TCK`): 100 on every Linux of today.
const TICKS_A_SECOND: f64 = 100.0;

/// What was measured when it was last committed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Committed {
    /// Seconds of compiling without the proof for one of decoding.
    ratio: f64,
    /// How much of a whole compile is the proof, from 0 to 1.
    proof: f64,
    /// Seconds of a diff for one of a whole compile.
    diff: f64,
    /// Seconds of a check with a cache for one without.
    cached: f64,
    /// The most memory that a whole compile takes.
    peak_mib: f64,
    sets: usize,
    rules: usize,
    bytes: u64,
}

/// One run of a process.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    peak_mib: f64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [] => bench(),
        [mode, folder] if mode == "decode" => decode(Path::new(folder)),
        _ => Err("usage: chainmail-bench".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads and decodes the manifests, and does nothing with them.
fn decode(folder: &Path) -> Result<(), Box<dyn Error>> {
    let sources = source::from_folder(folder)?;
    let (manifests, findings) = manifest::read(&sources);
    let found = (manifests.nodes.len(), manifests.pods.len(), manifests.policies.len());
    if findings.has_errors() || found != (SIZE.nodes, SIZE.pods, SIZE.policies) {
        return Err(format!("{found:?} nodes, pods and policies were decoded").into());
    }
    Ok(())
}

fn bench() -> Result<(), Box<dyn Error>> {
    let committed: Committed = toml::from_str(&fs::read_to_string(COMMITTED)?)?;
    // In memory where there is such a place: what ext4 does for a new file depends on what was removed before.
    let memory = Path::new("/dev/shm");
    let temporary = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let input = temporary.path().join("input");
    fs::create_dir(&input)?;
    write(&input, SIZE)?;
    let changed = temporary.path().join("changed");
    fs::create_dir(&changed)?;
    write(&changed, SIZE)?;
    change_a_policy(&changed)?;
    let cache = temporary.path().join("cache");
    let own = std::env::current_exe()?;
    let chainmail = own.with_file_name("chainmail");
    let (mut compiles, mut proven, mut decodes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut diffs, mut checks, mut cached) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that all meet the same machine.
    let out = |run: usize| temporary.path().join(format!("out-{run}"));
    for run in 0..RUNS {
        let compile = |out: &Path| {
            let mut command = Command::new(&chainmail);
            command.arg("compile").arg(&input).arg("--no-cache").arg("--out").arg(out);
            command
        };
        compiles.push(cost(compile(&out(run)).arg("--no-prove"))?);
        decodes.push(cost(Command::new(&own).arg("decode").arg(&input))?);
        proven.push(cost(&mut compile(&out(run)))?);
        diffs.push(cost(Command::new(&chainmail).arg("diff").args([&input, &changed]).arg("--no-cache"))?);
        let check = || {
            let mut command = Command::new(&chainmail);
            command.arg("check").arg(&input).env("CHAINMAIL_CACHE", &cache);
            command
        };
        checks.push(cost(check().arg("--no-cache"))?);
        if run == 0 {
            cost(&mut check())?;
        }
        cached.push(cost(&mut check())?);
    }
    // Of neighbours in time: a machine that others use changes its speed from run to run.
    let share = |part: &[Cost], whole: &[Cost]| {
        median(part.iter().zip(whole).map(|(part, whole)| part.seconds / whole.seconds))
    };
    let ratio = share(&compiles, &decodes);
    let (diff, from_cache) = (share(&diffs, &proven), share(&cached, &checks));
    let proof = 1.0 - share(&compiles, &proven);
    let seconds = |costs: &[Cost]| median(costs.iter().map(|cost| cost.seconds));
    let peak_mib = median(proven.iter().map(|cost| cost.peak_mib));
    let output = Output::of(&out(0))?;
    println!("input    {:>12} bytes", size_of(&files(&input)?)?);
    println!("compile  {:>12.2} s   decode {:.2} s", seconds(&compiles), seconds(&decodes));
    println!("proven   {:>12.2} s", seconds(&proven));
    println!("ratio    {ratio:>12.2}     committed {:.2}", committed.ratio);
    println!("proof    {proof:>12.2} of it  committed {:.2}", committed.proof);
    println!("diff     {diff:>12.2} of it  committed {:.2}", committed.diff);
    println!("cached   {from_cache:>12.2} of a check  committed {:.2}", committed.cached);
    println!("peak     {:>12.0} MiB committed {:.0}", peak_mib, committed.peak_mib);
    println!("sets     {:>12}     committed {}", output.sets, committed.sets);
    println!("rules    {:>12}     committed {}", output.rules, committed.rules);
    println!("bytes    {:>12}     committed {}", output.bytes, committed.bytes);
    let measured = [
        ("compiling against decoding", ratio, committed.ratio),
        ("the proof's share", proof, committed.proof),
        ("a diff against a compile", diff, committed.diff),
        ("a check from the cache", from_cache, committed.cached),
        ("peak memory", peak_mib, committed.peak_mib),
        ("rules", output.rules as f64, committed.rules as f64),
        ("bytes", output.bytes as f64, committed.bytes as f64),
    ];
    for (what, now, then) in measured {
        if now > then * SLACK {
            return Err(format!("{what}: {now:.2} is more than {SLACK} times the committed {then:.2}").into());
        }
    }
    if diff > DIFF_AT_MOST {
        return Err(format!("a diff costs {diff:.2} compiles, more than {DIFF_AT_MOST}").into());
    }
    Ok(())
}

/// Changes the first port of the first policy that has one.
fn change_a_policy(folder: &Path) -> Result<(), Box<dyn Error>> {
    const PORT: &str = "    - port: 5432\n";
    let mut files = files(folder)?;
    files.sort();
    for path in files {
        let text = fs::read_to_string(&path)?;
        if text.contains(PORT) {
            return Ok(fs::write(&path, text.replacen(PORT, "    - port: 5433\n", 1))?);
        }
    }
    Err("no policy has the port that is to change".into())
}

/// What a compile wrote.
struct Output {
    sets: usize,
    rules: usize,
    bytes: u64,
}

impl Output {
    fn of(out: &Path) -> Result<Self, Box<dyn Error>> {
        let files = files(out)?;
        let mut rules = 0;
        for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "v4" || e == "v6")) {
            rules += fs::read_to_string(path)?.lines().filter(|line| line.starts_with("-A ")).count();
        }
        Ok(Self { sets: fs::read_dir(out.join("sets"))?.count(), rules, bytes: size_of(&files)? })
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

fn size_of(files: &[PathBuf]) -> Result<u64, Box<dyn Error>> {
    let mut bytes = 0;
    for path in files {
        bytes += fs::metadata(path)?.len();
    }
    Ok(bytes)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a process to its end and asks the kernel what it took.
fn cost(command: &mut Command) -> Result<Cost, Box<dyn Error>> {
    let before = seconds_of_children()?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let peak_mib = peak_until_end(&mut child)?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(Cost { seconds: seconds_of_children()? - before, peak_mib })
}

/// The high-water mark of a process's memory, read until it is gone: it only rises, so the last one is the peak but for
/// the last milliseconds.
fn peak_until_end(child: &mut Child) -> Result<f64, Box<dyn Error>> {
    let status = format!("/proc/{}/status", child.id());
    let mut peak: f64 = 0.0;
    while child.try_wait()?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = mark.and_then(|rest| rest.split_whitespace().next()) {
            peak = peak.max(kib.parse::<f64>()? / 1024.0);
        }
        sleep(Duration::from_millis(2));
    }
    Ok(peak)
}

/// The CPU time of all children that have ended: `cutime` and `cstime`, fields 16 and 17 of `/proc/self/stat`.
fn seconds_of_children() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in brackets may have spaces; field 3 follows it.
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/self/stat has no name")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |number: usize| fields.get(number - 3).unwrap_or(&"").parse::<f64>();
    Ok((ticks(16)? + ticks(17)?) / TICKS_A_SECOND)
}
