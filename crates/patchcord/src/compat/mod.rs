//! `rtpengine-compat`: the relay under the command line that rtpengine's users have in their unit files, and with its
//! behaviour on the wire: packets pass untouched, what an SDP forbids is relayed all the same, ports follow the remote side.
//!
//! What has a meaning here becomes configuration; what has none is accepted and named in one line; what rtpengine does not
//! know either is refused.

mod options;

use std::path::Path;

use crate::cli::CompatArgs;
use crate::config::{Config, Layer};
use crate::failure::Failure;
use crate::{output, serve};

use options::{Effect, OPTIONS, Opt};

/// Where rtpengine looks for its configuration unless told otherwise.
const CONFIG_FILE: &str = "/etc/rtpengine/rtpengine.conf";
/// The HTTP API's usual address, taken if it is free.
const HTTP: &str = "127.0.0.1:8223";

/// What the options amount to.
#[derive(Debug, Default)]
struct Settings {
    interfaces: Vec<String>,
    listen: Vec<String>,
    port_min: Option<u16>,
    port_max: Option<u16>,
    ignored: Vec<String>,
    config_file: Option<String>,
    /// Keys of `default.toml` with their values.
    keys: Vec<(&'static str, toml::Value)>,
}

/// Runs the relay.
pub(crate) fn run(args: &CompatArgs) -> Result<(), Failure> {
    let settings = read(&args.args)?;
    for option in &settings.ignored {
        output::tell(&format!("patchcord: rtpengine's option {option} has no meaning here and is ignored"));
    }
    let config = Config::load(None, std::env::vars(), settings.layer()?)?;
    serve::run_config(config, args.until_stdin_ends, args.print_config)
}

/// Reads the command line, and the file that it names below it.
fn read(args: &[String]) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    settings.arguments(args)?;
    let named = settings.config_file.clone();
    let file = match named.as_deref() {
        Some("none") => None,
        Some(file) => Some(file.to_owned()),
        None => Some(CONFIG_FILE.to_owned()).filter(|file| Path::new(file).exists()),
    };
    let Some(file) = file else { return Ok(settings) };
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::Usage(format!("cannot read rtpengine's configuration {file}: {error}")))?;
    // The command line beats the file: it comes last.
    let mut both = Settings::default();
    both.file(&text, &file)?;
    both.arguments(args)?;
    Ok(both)
}

impl Settings {
    fn arguments(&mut self, args: &[String]) -> Result<(), Failure> {
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            let (option, attached) = split(arg)?;
            let value = match (option.takes_value, attached) {
                (false, None) => None,
                (false, Some(_)) => {
                    return Err(usage(format!("--{} takes no value, but {arg} gives one", option.long)));
                }
                (true, Some(value)) => Some(value),
                (true, None) => Some(args.next().ok_or_else(|| usage(format!("{arg} needs a value")))?),
            };
            self.option(option, value.unwrap_or_default(), arg)?;
        }
        Ok(())
    }

    /// `key = value` in the section `[rtpengine]`.
    fn file(&mut self, text: &str, file: &str) -> Result<(), Failure> {
        let mut ours = false;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if line.starts_with('[') {
                ours = line == "[rtpengine]";
            } else if ours {
                let (key, value) = line.split_once('=').unwrap_or((line, "true"));
                let place = format!("{file}:{}", number + 1);
                let (key, value) = (key.trim(), value.trim());
                let option = OPTIONS.iter().find(|option| option.long == key);
                let option = option.ok_or_else(|| usage(format!("{place}: rtpengine has no option `{key}`")))?;
                if option.takes_value {
                    // A list is written with semicolons, for interfaces.
                    let values = value.split(';').map(str::trim).filter(|value| !value.is_empty());
                    values.into_iter().try_for_each(|value| self.option(option, value, &place))?;
                } else if value == "true" || value == "yes" || value == "1" {
                    self.option(option, "", &place)?;
                }
            }
        }
        Ok(())
    }

    fn option(&mut self, option: &Opt, value: &str, place: &str) -> Result<(), Failure> {
        // Below zero means without a limit, as zero does here.
        let number = || match value.parse::<i64>() {
            Ok(number) => u32::try_from(number.max(0)).map_err(|_| usage(format!("{place}: {value} is too large"))),
            Err(_) => Err(usage(format!("{place}: {value:?} is no number"))),
        };
        let port = || value.parse::<u16>().map_err(|_| usage(format!("{place}: {value:?} is no port")));
        match option.effect {
            Effect::None => self.ignored.push(format!("--{}", option.long)),
            Effect::Quiet => {}
            Effect::ConfigFile => self.config_file = Some(value.to_owned()),
            Effect::Interface => self.interface(value)?,
            Effect::Listen(scheme) => self.listen.push(format!("{scheme}:{}", address(value))),
            Effect::PortMin => self.port_min = Some(port()?),
            Effect::PortMax => self.port_max = Some(port()?),
            Effect::Number(key) => self.keys.push((key, i64::from(number()?).into())),
            Effect::Text(key) => self.keys.push((key, value.into())),
            Effect::Tos => self.keys.push(("dscp", i64::from(number()?.min(255) >> 2).into())),
            Effect::Workers => {
                if number()? > 0 {
                    self.keys.push(("workers.count", i64::from(number()?).into()));
                }
            }
            Effect::Learning => {
                let mode = match value {
                    "off" => "off",
                    "immediate" => "first-packet",
                    "delayed" => "delayed",
                    "heuristic" => "heuristic",
                    other => {
                        return Err(usage(format!(
                            "{place}: endpoint learning {other:?} is none of off, immediate, delayed, heuristic"
                        )));
                    }
                };
                self.keys.push(("media.latch", mode.into()));
            }
            Effect::LaxSource => self.keys.push(("media.strict", false.into())),
            Effect::LogLevel => {
                // syslog's levels.
                let level = match number()? {
                    0..=3 => "error",
                    4 => "warn",
                    5 | 6 => "info",
                    _ => "debug",
                };
                self.keys.push(("log.level", level.into()));
            }
        }
        Ok(())
    }

    /// `[NAME/]IP[!ADVERTISED]`, or `ALIAS=NAME` for another name of an interface that was named before.
    fn interface(&mut self, value: &str) -> Result<(), Failure> {
        let Some((alias, name)) = value.split_once('=') else {
            self.interfaces.push(value.to_owned());
            return Ok(());
        };
        let prefix = format!("{name}/");
        let aliases: Vec<_> = self
            .interfaces
            .iter()
            .filter_map(|interface| interface.strip_prefix(&prefix))
            .map(|rest| format!("{alias}/{rest}"))
            .collect();
        if aliases.is_empty() {
            return Err(usage(format!("interface {value}: no interface is named {name} before it")));
        }
        self.interfaces.extend(aliases);
        Ok(())
    }

    fn layer(self) -> Result<Layer, Failure> {
        let mut layer = Layer::flags();
        // What a change of daemon must not change on the wire.
        layer.put("media.egress", "transparent");
        layer.put("media.learn_from", "anywhere");
        layer.put("srtp.allow_weak", true);
        layer.put("ng.enforce_direction", false);
        layer.put("ng.relay_unread", true);
        layer.put("ng.drop_bundle", true);
        layer.put("ng.ports_follow_remote", true);
        // Whoever stops rtpengine expects it to stop.
        layer.put("drain.deadline_s", 0);
        layer.put("http.listen", if std::net::TcpListener::bind(HTTP).is_ok() { HTTP } else { "127.0.0.1:0" });
        if !self.interfaces.is_empty() {
            layer.put("interfaces", self.interfaces);
        }
        if !self.listen.is_empty() {
            layer.put("ng.listen", self.listen);
        }
        if self.port_min.is_some() || self.port_max.is_some() {
            let (first, last) = (self.port_min.unwrap_or(30_000), self.port_max.unwrap_or(40_000));
            layer.put("ports", format!("{first}-{last}"));
        }
        for (key, value) in self.keys {
            layer.put(key, value);
        }
        Ok(layer)
    }
}

/// A port alone means every address of this machine, as for rtpengine.
fn address(value: &str) -> String {
    if value.parse::<u16>().is_ok() { format!("0.0.0.0:{value}") } else { value.replace("localhost:", "127.0.0.1:") }
}

/// The option of an argument, and what is attached to it: `--long=value`, `-svalue`.
fn split(arg: &str) -> Result<(&'static Opt, Option<&str>), Failure> {
    let unknown = || usage(format!("rtpengine has no option {arg}; see `patchcord serve --help` for this relay's own"));
    if let Some(long) = arg.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let option = OPTIONS.iter().find(|option| option.long == name).ok_or_else(unknown)?;
        return Ok((option, value));
    }
    let mut letters = arg.strip_prefix('-').ok_or_else(unknown)?.chars();
    let letter = letters.next().ok_or_else(unknown)?;
    let option = OPTIONS.iter().find(|option| option.short == Some(letter)).ok_or_else(unknown)?;
    let rest = letters.as_str();
    Ok((option, (!rest.is_empty()).then_some(rest)))
}

fn usage(text: String) -> Failure {
    Failure::Usage(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> Result<Config, String> {
        let args: Vec<_> = line.split_ascii_whitespace().map(str::to_owned).collect();
        let settings = read(&args).map_err(|failure| failure.to_string())?;
        let layer = settings.layer().map_err(|failure| failure.to_string())?;
        Config::load(None, core::iter::empty(), layer).map_err(|error| error.to_string())
    }

    #[test]
    fn a_unit_files_command_line_is_understood() {
        let config = config(
            "--config-file=none -t -1 -i 127.0.0.1 -i ::1 -n 2223 -c 12345 -f -L 7 -E -u 2222 --log-level-internals=7 \
             --port-min=35000 -M 36000 --delete-delay=5 -T 184 --timeout=30 --num-threads=2",
        )
        .expect("all of it is known");
        let interfaces: Vec<_> = config.interfaces.iter().map(ToString::to_string).collect();
        assert_eq!(interfaces, ["default/127.0.0.1", "default/::1"]);
        assert_eq!(config.ng.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), ["udp:0.0.0.0:2223"]);
        assert_eq!((config.ports.to_string().as_str(), config.dscp, config.workers.count), ("35000-36000", 46, 2));
        assert_eq!((config.ng.delete_delay_s, config.ng.timeout_s), (5, 30));
        assert_eq!(config.log.level, "debug");
        assert!(config.media.strict, "the lax behaviour is only for who asks for it");
        assert!(!config.ng.enforce_direction && config.ng.ports_follow_remote);
    }

    #[test]
    fn an_alias_is_another_name() {
        let config = config("--config-file=none -i a/127.0.0.1!192.0.2.1 -i b=a --lax-source").expect("it is known");
        let interfaces: Vec<_> = config.interfaces.iter().map(ToString::to_string).collect();
        assert_eq!(interfaces, ["a/127.0.0.1!192.0.2.1", "b/127.0.0.1!192.0.2.1"]);
        assert!(!config.media.strict);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, part) in [
            ("--config-file=none --frobnicate", "no option --frobnicate"),
            ("--config-file=none -n", "-n needs a value"),
            ("--config-file=none -f=1", "takes no value"),
            ("--config-file=none -m x", "no port"),
            ("--config-file=none -i b=a", "no interface is named a"),
            ("--config-file=none --endpoint-learning=maybe", "none of off"),
            ("--config-file=/nonexistent", "cannot read"),
            ("word", "no option word"),
        ] {
            let error = config(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn a_file_is_read_below_the_command_line() {
        let mut settings = Settings::default();
        let text = "[rtpengine]\ninterface = a/127.0.0.1;b/127.0.0.2\n# x\nlisten-ng = localhost:2223\ntable = 0\ntos = 184\n\
                    recording-dir = /var/spool\nforeground = false\n[other]\nx = y\n";
        settings.file(text, "file").expect("it is known");
        assert_eq!(settings.interfaces, ["a/127.0.0.1", "b/127.0.0.2"]);
        assert_eq!(settings.listen, ["udp:127.0.0.1:2223"]);
        assert_eq!(settings.ignored, ["--table"]);
        assert!(settings.keys.contains(&("recording.directory", "/var/spool".into())), "{:?}", settings.keys);
        let error = settings.file("[rtpengine]\nfoo = 1", "file").expect_err("no such option").to_string();
        assert!(error.contains("file:2"), "{error}");
    }
}
