//! What does guarding cost? The proxy, beside the bare upstream and beside nginx, on this machine.
//!
//! One closed-loop load goes in turn to the upstream itself, to nginx in front of it and to the guard in front of
//! it. Absolute times move with whatever else the machine does; CPU time per request and the ratios within one
//! run are what to compare. Everything stays on loopback, and everything that is started is ended.

mod accounts;
mod args;
mod disk;
mod failure;
mod guard;
mod load;
mod machine;
mod nginx;
mod process;
mod report;
mod series;
mod stop;
mod streams;
mod text;
mod upstream;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use failure::Failure;
use machine::Machine;
use nginx::Nginx;
use stop::Stop;
use upstream::Upstream;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {}", failure.chain());
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, Failure> {
    let stop = Stop::on_signals()?;
    let cores = machine::Cores::choose(args.pin)?;
    let place = disk::Place::beside_this_program()?;
    let binary = guard::Binary::copy(args, &place)?;
    let machine = Machine::describe(&binary, &place, args)?;
    cores.load_side()?;
    if !args.streams.is_empty() {
        let bench = streams::Streams { args, place: &place, cores: &cores, stop: &stop };
        return bench.run(&binary, machine);
    }
    let upstream = Upstream::start()?;
    let starts = guard::Starts::measure(&binary, upstream.address(), (&place, &cores), &stop)?;
    let nginx = Nginx::start_if_there(upstream.address(), &place, &cores, &stop)?;
    let guard = guard::Guard::start(&binary, upstream.address(), (&place, &cores), &stop)?;
    let rows = series::Series {
        args,
        upstream: &upstream,
        nginx: nginx.as_ref(),
        guard: &guard,
        stop: &stop,
    }
    .run()?;
    let report = report::Report::new(machine, starts, rows);
    if args.json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(if report.errors() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
