import { parsePrefix } from '#proto/model/address.ts';
import { parsePhase } from '#proto/model/names.ts';
import { fail, ok, parseAll, type Result } from '#proto/model/result.ts';
import { milliseconds, seconds } from '#proto/model/time.ts';
import type { OverlayRecord } from './records.ts';

type Setter = (overlay: OverlayRecord, value: string) => Result<OverlayRecord>;

/** Each goes to every node. */
const mostSummaries = 1024;

/** What may change while an overlay lives, in the ranges that proto/codec takes. Pools and the link prefix may not: nodes have addresses of them. */
const setters: Readonly<Record<string, Setter>> = {
  phase: (overlay, value) => map(parsePhase(Number(value)), (phase) => ({ ...overlay, phase })),
  summaries: (overlay, value) => {
    const texts = value
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '');
    if (texts.length > mostSummaries) return fail('too-many', `at most ${String(mostSummaries)} are taken`);
    return map(parseAll(texts, parsePrefix), (summaries) => ({ ...overlay, summaries }));
  },
  holdingTimeSeconds: number(1, 0xffff, (overlay, value) => ({ ...overlay, holdingTime: seconds(value) })),
  negativeHoldingTimeSeconds: number(1, 0xffff, (overlay, value) => ({
    ...overlay,
    negativeHoldingTime: seconds(value),
  })),
  idleTimeoutSeconds: number(1, 0xffff_ffff, (overlay, value) => ({ ...overlay, idleTimeout: seconds(value) })),
  bfdIntervalMs: number(10, 60_000, (overlay, value) => ({ ...overlay, bfdInterval: milliseconds(value) })),
  bfdMultiplier: number(1, 255, (overlay, value) => ({ ...overlay, bfdMultiplier: value })),
  mtu: number(1280, 0xffff, (overlay, value) => ({ ...overlay, mtu: value })),
  maxConnections: number(0, 255, (overlay, value) => ({ ...overlay, maxConnections: value })),
  prefixLimit: number(1, 4096, (overlay, value) => ({ ...overlay, prefixLimit: value })),
  fallbackTimeSeconds: number(0, 0xffff, (overlay, value) => ({ ...overlay, fallbackTime: seconds(value) })),
};

/** Faults: unknown-setting, and those of the value. */
export function setOverlay(overlay: OverlayRecord, key: string, value: string): Result<OverlayRecord> {
  const setter = Object.hasOwn(setters, key) ? setters[key] : undefined;
  if (!setter) {
    return fail(
      'unknown-setting',
      `"${key.slice(0, 64)}" is not a setting that may change: use ${Object.keys(setters).join(', ')}`,
    );
  }
  const changed = setter(overlay, value);
  return changed.ok ? changed : fail(changed.fault.code, `${key}: ${changed.fault.message}`);
}

function number(least: number, most: number, apply: (overlay: OverlayRecord, value: number) => OverlayRecord): Setter {
  return (overlay, text) => {
    const value = Number(text);
    if (!/^\d{1,10}$/.test(text) || value < least || value > most) {
      return fail(
        'bad-number',
        `"${text.slice(0, 64)}" is not a whole number from ${String(least)} to ${String(most)}`,
      );
    }
    return ok(apply(overlay, value));
  };
}

function map<T, U>(result: Result<T>, use: (value: T) => U): Result<U> {
  return result.ok ? ok(use(result.value)) : result;
}
