//! `-o FMT[=FILE]`: the formats in which a command prints its result, and where each of them goes.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use chainmail_findings::Style;
use chainmail_pipeline::write::write_file;
use clap::ValueEnum;
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Failure, Screen, output};

/// What help calls the option's value.
pub(super) const FMT: &str = "FMT[=FILE]";

/// One `-o FMT[=FILE]`, in the formats of one command. The option is declared as
///
/// ```text
/// #[arg(short, long, value_name = FMT, value_parser = Output::<Format>::parser(), default_value = "text")]
/// output: Vec<Output<Format>>,
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output<F> {
    format: F,
    file: Option<PathBuf>,
}

impl<F: ValueEnum + Clone + Send + Sync + 'static> Output<F> {
    /// Reads the option's value; knows the formats for help and completion.
    pub(super) fn parser() -> OutputParser<F> {
        OutputParser(PhantomData)
    }
}

/// Reads `FMT[=FILE]`.
#[derive(Debug, Clone)]
pub(super) struct OutputParser<F>(PhantomData<F>);

impl<F: ValueEnum + Clone + Send + Sync + 'static> TypedValueParser for OutputParser<F> {
    type Value = Output<F>;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Output<F>, clap::Error> {
        let bytes = value.as_bytes();
        let (format, file) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        if file.is_some_and(<[u8]>::is_empty) {
            let mut error = clap::Error::new(ErrorKind::ValueValidation).with_cmd(command);
            if let Some(arg) = arg {
                error.insert(ContextKind::InvalidArg, ContextValue::String(arg.to_string()));
            }
            let value = value.to_string_lossy().into_owned();
            error.insert(ContextKind::InvalidValue, ContextValue::String(value));
            return Err(error);
        }
        let format = EnumValueParser::<F>::new().parse_ref(command, arg, OsStr::from_bytes(format))?;
        Ok(Output { format, file: file.map(|file| PathBuf::from(OsStr::from_bytes(file))) })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values: Vec<_> = F::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
        Some(Box::new(values.into_iter()))
    }
}

/// All that `-o` asks of a command: at most one format on standard output, and files that are not each other's.
#[derive(Debug)]
pub(super) struct Outputs<F> {
    stdout: Option<F>,
    files: Vec<(PathBuf, F)>,
}

impl<F: Copy> Outputs<F> {
    /// Takes what was asked for, before the command begins its work.
    pub(super) fn new(asked: &[Output<F>]) -> Result<Self, Failure> {
        let mut outputs = Self { stdout: None, files: Vec::new() };
        for Output { format, file } in asked {
            match file {
                None => {
                    if outputs.stdout.replace(*format).is_some() {
                        let message = "two formats for standard output; write all but one as -o FMT=FILE";
                        return Err(Failure::usage(message));
                    }
                }
                Some(file) => {
                    if outputs.files.iter().any(|(other, _)| plain(other) == plain(file)) {
                        return Err(Failure::usage(format!("{} is named twice by -o", file.display())));
                    }
                    outputs.files.push((file.clone(), *format));
                }
            }
        }
        Ok(outputs)
    }

    /// The same, or this format where nothing was asked for.
    pub(super) fn or(mut self, format: F) -> Self {
        if self.formats().next().is_none() {
            self.stdout = Some(format);
        }
        self
    }

    /// The format of standard output, where no file is asked for beside it.
    pub(super) fn only_stdout(&self) -> Option<F> {
        self.stdout.filter(|_| self.files.is_empty())
    }

    /// The format that goes to standard output, if one does.
    pub(super) fn stdout(&self) -> Option<F> {
        self.stdout
    }

    /// The formats of all outputs.
    pub(super) fn formats(&self) -> impl Iterator<Item = F> {
        self.stdout.into_iter().chain(self.files.iter().map(|(_, format)| *format))
    }

    /// Writes the files, each whole or not at all; what they hold is never coloured.
    pub(super) fn write_files(&self, mut render: impl FnMut(F) -> String) -> Result<(), Failure> {
        for (file, format) in &self.files {
            write_file(file, render(*format).as_bytes()).map_err(|error| Failure::input(&error))?;
        }
        Ok(())
    }

    /// Writes the files, and prints what goes to standard output.
    pub(super) fn print(
        &self,
        screen: Screen,
        mut render: impl FnMut(F, Style) -> String,
    ) -> Result<(), Failure> {
        self.write_files(|format| render(format, Style::Plain))?;
        match self.stdout {
            Some(format) => output::text(&render(format, screen.stdout)).map(|_done| ()),
            None => Ok(()),
        }
    }
}

/// A path without the steps that go nowhere, so that `./a` and `a` are known as one.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}
