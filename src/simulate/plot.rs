//! A run as a picture: what was offered, served and refused, who waited, and how large the window was, over time.
//!
//! Plain SVG without scripts or fonts of its own, on its own ground, so that it reads the same on any page. Colours are those that
//! people who see fewer tell apart (Okabe and Ito), and lines differ in their dashes as well.

use std::fmt::Write;

use super::timeline::{Slot, Timeline};
use super::{Params, Trouble};

/// A line of a panel, and how it is drawn.
struct Line<'a> {
    label: &'a str,
    colour: &'a str,
    dashes: &'a str,
    /// One value for each slot; what is none leaves a gap.
    values: Vec<Option<f64>>,
}

/// One of the pictures that share an axis of time.
struct Panel<'a> {
    title: &'a str,
    top: f64,
    height: f64,
    lines: Vec<Line<'a>>,
}

/// Draws it.
pub(super) fn svg(params: &Params, timeline: &Timeline) -> String {
    let seconds = timeline.width * timeline.slots.len() as f64;
    let mut svg = String::new();
    let title = scenario(params);
    let _infallible = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" font-family="sans-serif" font-size="12" fill="#222">
<title>{title}</title>
<desc>Three panels over {seconds:.0} seconds: requests per second, requests waiting, and the window.</desc>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{LEFT}" y="24" font-size="15" font-weight="bold">{title}</text>
"##
    );
    shade_closed(&mut svg, timeline);
    for panel in panels(params, timeline) {
        panel.draw(&mut svg, seconds);
    }
    time_axis(&mut svg, seconds);
    svg.push_str("</svg>\n");
    svg
}

/// The scenario in words.
fn scenario(params: &Params) -> String {
    let mut limits = Vec::new();
    if let Some(rate) = params.gateway.rate {
        limits.push(format!("{}/s (burst {})", rate.per_second, rate.burst));
    }
    if let Some(concurrency) = params.gateway.concurrency {
        let service = params.gateway.service.mean;
        limits.push(format!("{concurrency} executions of {service:?}"));
    }
    let limits = match limits.is_empty() {
        true => "no limit".to_owned(),
        false => limits.join(" and "),
    };
    let bursts = params.load.bursts.map_or_else(String::new, |bursts| {
        format!(" on average, in bursts of {} times as much", bursts.factor)
    });
    let load = params.load.per_second;
    format!("{limits} behind redrive; clients ask for {load}/s{bursts}")
}

fn panels<'a>(params: &Params, timeline: &Timeline) -> [Panel<'a>; 3] {
    let width = timeline.width;
    let each = |value: &dyn Fn(&Slot) -> Option<f64>| timeline.slots.iter().map(value).collect();
    let line = |label, colour, dashes, values| Line {
        label,
        colour,
        dashes,
        values,
    };
    let rate = |count: u32| Some(f64::from(count) / width);
    let limit = |index: usize| {
        let factor = factor(params, (index as f64 + 0.5) * width);
        params.gateway.rate.map(|rate| rate.per_second * factor)
    };
    [
        Panel {
            title: "requests per second",
            top: 62.0,
            height: 220.0,
            lines: vec![
                line("offered", SKY, "", each(&|slot| rate(slot.offered))),
                line("served", GREEN, "", each(&|slot| rate(slot.served))),
                line("throttled", RED, "", each(&|slot| rate(slot.refused))),
                line(
                    "limit",
                    "#222",
                    "6 4",
                    (0..timeline.slots.len()).map(limit).collect(),
                ),
            ],
        },
        Panel {
            title: "requests waiting",
            top: 320.0,
            height: 80.0,
            lines: vec![line(
                "waiting",
                ORANGE,
                "",
                each(&|slot| Some(slot.now.waiting as f64)),
            )],
        },
        Panel {
            title: "window, attempts in flight (grey: the gate is closed)",
            top: WINDOW_TOP,
            height: WINDOW_BOTTOM - WINDOW_TOP,
            lines: vec![line(
                "window",
                BLUE,
                "",
                each(&|slot| (slot.now.closed > 0).then_some(slot.now.window)),
            )],
        },
    ]
}

/// By how much the limits are multiplied then; zero in an outage.
fn factor(params: &Params, seconds: f64) -> f64 {
    let mut disturbances = params.gateway.disturbances.iter();
    let now =
        disturbances.find(|it| (it.from.as_secs_f64()..it.until.as_secs_f64()).contains(&seconds));
    match now.map(|it| it.what) {
        Some(Trouble::Limits(factor)) => factor,
        Some(Trouble::Refuses | Trouble::Swallows(_)) => 0.0,
        None => 1.0,
    }
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String, seconds: f64) {
        let (top, bottom) = (self.top, self.top + self.height);
        let values = self
            .lines
            .iter()
            .flat_map(|line| line.values.iter().flatten());
        let step = step(
            values.copied().fold(1.0, f64::max),
            self.height / TICK_HEIGHT,
        );
        let most = values_above(&self.lines, step);
        let _infallible = writeln!(
            svg,
            r##"<text x="{LEFT}" y="{:.0}" font-weight="bold">{}</text>"##,
            top - 10.0,
            self.title
        );
        let mut tick = 0.0;
        while tick <= most {
            let y = bottom - tick / most * self.height;
            let _infallible = writeln!(
                svg,
                r##"<path d="M{LEFT} {y:.1}H{:.0}" stroke="#ccc"/><text x="{:.0}" y="{:.1}" text-anchor="end">{tick}</text>"##,
                LEFT + PLOT_WIDTH,
                LEFT - 6.0,
                y + 4.0,
            );
            tick += step;
        }
        for (index, line) in self.lines.iter().enumerate() {
            line.draw(svg, seconds, bottom, self.height / most);
            if self.lines.len() > 1 {
                line.legend(svg, LEFT + 260.0 + 110.0 * index as f64, top - 14.0);
            }
        }
    }
}

impl Line<'_> {
    /// `scale`: pixels for each unit.
    fn draw(&self, svg: &mut String, seconds: f64, bottom: f64, scale: f64) {
        let width = seconds / self.values.len() as f64;
        let mut path = String::new();
        let mut is_down = false;
        for (index, value) in self.values.iter().enumerate() {
            let Some(value) = value else {
                is_down = false;
                continue;
            };
            let (x, y) = (
                x_of((index as f64 + 0.5) * width, seconds),
                bottom - value * scale,
            );
            let pen = if is_down { 'L' } else { 'M' };
            let _infallible = write!(path, "{pen}{x:.1} {y:.1}");
            is_down = true;
        }
        let Self { colour, dashes, .. } = self;
        let _infallible = writeln!(
            svg,
            r##"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dashes}"/>"##
        );
    }

    fn legend(&self, svg: &mut String, x: f64, y: f64) {
        let Self {
            label,
            colour,
            dashes,
            ..
        } = self;
        let _infallible = writeln!(
            svg,
            r##"<path d="M{x:.0} {y:.0}h26" stroke="{colour}" stroke-width="3" stroke-dasharray="{dashes}"/><text x="{:.0}" y="{:.0}">{label}</text>"##,
            x + 32.0,
            y + 4.0,
        );
    }
}

/// Where some gate is closed, behind everything else.
fn shade_closed(svg: &mut String, timeline: &Timeline) {
    let seconds = timeline.width * timeline.slots.len() as f64;
    let mut path = String::new();
    let is_closed = |slot: &Slot| slot.now.closed > 0;
    let mut at = 0;
    for run in timeline.slots.chunk_by(|a, b| is_closed(a) == is_closed(b)) {
        if is_closed(&run[0]) {
            let from = x_of(at as f64 * timeline.width, seconds);
            let to = x_of((at + run.len()) as f64 * timeline.width, seconds);
            let _infallible = write!(
                path,
                "M{from:.1} {WINDOW_TOP}V{WINDOW_BOTTOM}H{to:.1}V{WINDOW_TOP}z"
            );
        }
        at += run.len();
    }
    let _infallible = writeln!(svg, r##"<path d="{path}" fill="#e4e4e4"/>"##);
}

fn time_axis(svg: &mut String, seconds: f64) {
    let step = step(seconds, 10.0);
    let mut tick = 0.0;
    while tick <= seconds {
        let _infallible = writeln!(
            svg,
            r##"<text x="{:.1}" y="{:.0}" text-anchor="middle">{tick} s</text>"##,
            x_of(tick, seconds),
            WINDOW_BOTTOM + 20.0,
        );
        tick += step;
    }
}

fn x_of(at: f64, seconds: f64) -> f64 {
    LEFT + at / seconds * PLOT_WIDTH
}

/// A round distance between ticks: one, two or five times a power of ten, at most so many ticks.
fn step(most: f64, ticks: f64) -> f64 {
    let rough = most / ticks;
    let power = 10f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0].map(|digit| digit * power);
    round
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power)
}

/// The smallest multiple of the step that no line exceeds.
fn values_above(lines: &[Line<'_>], step: f64) -> f64 {
    let values = lines.iter().flat_map(|line| line.values.iter().flatten());
    (values.copied().fold(step, f64::max) / step).ceil() * step
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 60.0;
const PLOT_WIDTH: f64 = 815.0;

/// The window's panel.
const WINDOW_TOP: f64 = 438.0;
const WINDOW_BOTTOM: f64 = 518.0;

/// The height that a tick's number needs.
const TICK_HEIGHT: f64 = 28.0;

const SKY: &str = "#56b4e9";
const GREEN: &str = "#009e73";
const RED: &str = "#d55e00";
const ORANGE: &str = "#e69f00";
const BLUE: &str = "#0072b2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        for (most, ticks, expected) in [(1.0, 10.0, 0.1), (37.0, 10.0, 5.0), (340.0, 8.0, 50.0)] {
            assert!((step(most, ticks) - expected).abs() < 1e-9, "{most}");
        }
    }
}
