// Paths that are Up and nevertheless no good: lossy or slow ones lose to others that are not. By what BFD measures (bfd-measure.ts), with
// hysteresis, and with ever longer waits for one that is good and poor by turns.
import type { NodeId } from '#proto/model/names.ts';
import type { QualityConfig } from '#proto/model/quality.ts';
import { after, type Instant, milliseconds, type Milliseconds } from '#proto/model/time.ts';
import { note, type PathId, type Turn, warn } from './event.ts';
import type { PathReading, Verdict } from './quality-state.ts';
import type { AgentState, HubPath } from './state.ts';
import { isProbed, probeKey } from './uplinks.ts';

/** Good again: at most so much of what makes a path poor. */
const recoveredLoss = 0.5;
const recoveredRtt = 0.8;
/** For so long; each time that it becomes poor again soon twice as long. */
const firstHoldMs = 30_000;
const lastHoldMs = 600_000;
/** What was so long ago counts no more. */
const forgetMs = 1_200_000;

/** The verdicts after a measurement; the same map if none changes. */
export function judge(
  known: ReadonlyMap<string, Verdict>,
  readings: ReadonlyMap<string, PathReading>,
  rules: QualityConfig,
  now: Instant,
): ReadonlyMap<string, Verdict> {
  const verdicts = new Map(known);
  let changed = false;
  for (const path of new Set([...known.keys(), ...readings.keys()])) {
    const before = known.get(path);
    const verdict = judgeOne(before, readings.get(path), rules, now);
    if (verdict === before) continue;
    changed = true;
    if (verdict) verdicts.set(path, verdict);
    else verdicts.delete(path);
  }
  return changed ? verdicts : known;
}

function judgeOne(
  known: Verdict | undefined,
  reading: PathReading | undefined,
  rules: QualityConfig,
  now: Instant,
): Verdict | undefined {
  const forgotten = known !== undefined && now - known.since >= forgetMs;
  if (!reading) return forgotten ? undefined : known;
  const reason = fault(reading, rules);
  if (!known?.poor) {
    if (reason === undefined) return forgotten ? undefined : known;
    return { poor: true, since: now, spells: (known?.spells ?? 0) + 1, goodSince: undefined, reason };
  }
  if (!isGood(reading, rules)) return known.goodSince === undefined ? known : { ...known, goodSince: undefined };
  if (known.goodSince === undefined) return { ...known, goodSince: now };
  return after(known.goodSince, holdOf(known)) <= now ? { ...known, poor: false, since: now } : known;
}

function holdOf({ spells }: Verdict): Milliseconds {
  return milliseconds(Math.min(firstHoldMs * 2 ** Math.min(spells - 1, 10), lastHoldMs));
}

function fault({ rttMs, loss }: PathReading, rules: QualityConfig): string | undefined {
  if (loss !== undefined && loss * 100 >= rules.loss) return `it loses ${String(Math.round(loss * 100))} %`;
  if (rttMs !== undefined && rules.rtt !== undefined && rttMs >= rules.rtt) {
    return `its round trip takes ${String(Math.round(rttMs))} ms`;
  }
  return undefined;
}

function isGood({ rttMs, loss }: PathReading, rules: QualityConfig): boolean {
  if (loss === undefined || loss * 100 > rules.loss * recoveredLoss) return false;
  return rules.rtt === undefined || (rttMs !== undefined && rttMs <= rules.rtt * recoveredRtt);
}

/** A measurement of all paths; the same state if nothing follows from it. */
export function measured(state: AgentState, readings: ReadonlyMap<PathId, PathReading>, turn: Turn): AgentState {
  const rules = state.self.quality;
  const quality = rules ? judge(state.quality, readings, rules, turn.now) : state.quality;
  if (quality === state.quality) return state;
  for (const [path, { poor, reason }] of quality) {
    if (poor === (state.quality.get(path)?.poor ?? false)) continue;
    if (poor) warn(turn, 'path is poor', { path, reason });
    else note(turn, 'path is good again', { path });
  }
  return { ...state, quality };
}

export function isPoor({ quality }: Pick<AgentState, 'quality'>, path: PathId): boolean {
  return quality.get(path)?.poor === true;
}

/** A hub tunnel is as good as what the probe of its uplink sees, which is there before the tunnel moves. */
export function isPoorHub(
  state: Pick<AgentState, 'self' | 'uplinks' | 'quality'>,
  { hub, interface: name }: HubPath,
): boolean {
  const uplink = state.uplinks.places.get(name)?.uplink;
  if (isProbed(state.self) && uplink !== undefined) return isPoor(state, `uplink:${probeKey(hub.node, uplink)}`);
  return isPoor(state, `hub:${hub.node}`);
}

/** Why a direct path that works is not used: it is poor, and the way by the hub is not. */
export function avoided(state: AgentState, node: NodeId): string | undefined {
  const verdict = state.quality.get(`direct:${node}`);
  const active = state.activeHub === undefined ? undefined : state.hubs.get(state.activeHub);
  if (!verdict?.poor || active?.bfd !== 'up' || isPoorHub(state, active)) return undefined;
  return verdict.reason;
}

/** Whether the routes of a remote lead to it. */
export function isRoutedTo(state: AgentState, node: NodeId): boolean {
  return state.remotes.get(node)?.phase === 'direct' && avoided(state, node) === undefined;
}
