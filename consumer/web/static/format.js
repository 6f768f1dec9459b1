/** How figures, times and durations are written. Nothing here changes what they say. */

const LANGUAGE = document.documentElement.lang;
/** Stands for a figure that is not known. */
export const NONE = "–";

const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 3 });
const short = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumSignificantDigits: 3 });
const exact = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 6 });
const part = new Intl.NumberFormat(LANGUAGE, {
  style: "percent", maximumFractionDigits: 2, roundingMode: "floor",
});
const plus = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 3, signDisplay: "exceptZero" });
const dayClock = new Intl.DateTimeFormat(LANGUAGE, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const clock = new Intl.DateTimeFormat(LANGUAGE, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const minute = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [0.001, "ms"], [0.000001, "µs"]];

const known = (value) => value !== null && value !== undefined;

/** A count. */
export const count = (value) => (known(value) ? whole.format(value) : NONE);

/** Events a second: small ones with a fraction. */
export const rate = (value) => (known(value) ? (value < 10 ? three : whole).format(value) : NONE);

/** A number in few characters, for an axis. */
export const compact = (value) => (known(value) ? short.format(value) : NONE);

/** A score. */
export const score = (value) => (known(value) ? exact.format(value) : NONE);

/** A share as a percentage, never rounded up: 100 % is all of them. */
export const share = (value) => (known(value) ? part.format(value) : NONE);

/** What an input added, with its sign; a true minus. */
export const signed = (value) => (known(value) ? plus.format(value).replace("-", "−") : NONE);

/** Seconds in the largest unit of which there is at least one. */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds <= 0) return "0 s";
  const [size, unit] = UNITS.find(([one]) => seconds >= one) ?? UNITS.at(-1);
  return `${three.format(seconds / size)} ${unit}`;
}

/** A moment, given as Unix time in seconds, on the reader's clock. */
export const time = (unix) => (known(unix) ? clock.format(unix * 1000) : NONE);

/** A moment without its seconds, for an axis. */
export const hourAndMinute = (unix) => minute.format(unix * 1000);

/** A moment with its day, unless it is today's. */
export function moment(unix) {
  if (!known(unix)) return NONE;
  const sameDay = new Date(unix * 1000).toDateString() === new Date().toDateString();
  return (sameDay ? clock : dayClock).format(unix * 1000);
}
