// The routes as rows of CONTRACT.md's JSON: who announces what, and which rule chose.
import { comparePrefixes, type Prefix } from '#proto/model/address.ts';
import type { Selection } from '#proto/model/selection.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { type Ranked, rank, ranked, standings } from './rib.ts';
import type { Route } from './route-table.ts';
import type { Snapshot } from './state.ts';

export interface RouteRow {
  readonly prefix: string;
  readonly node: string;
  /** 255 best. */
  readonly preference: number;
  readonly active: boolean;
  /** Seconds. */
  readonly age: number;
  readonly state: 'active' | 'backup' | 'damped' | 'rejected';
  /** Why. */
  readonly reason: string;
}

/** By prefix; of each the best first, then what was refused. */
export function routeRows(snapshot: Snapshot, now: Timestamp): RouteRow[] {
  const rows = new Map<Prefix, RouteRow[]>();
  for (const route of snapshot.routes.routes()) rows.set(route.prefix, rowsOf(snapshot, route, now));
  for (const { node, refused } of snapshot.bindings.values()) {
    for (const { prefix, preference, since, reason, damped } of refused) {
      const known = rows.get(prefix) ?? [];
      const age = seconds(since, now);
      const state = damped ? 'damped' : 'rejected';
      known.push({ prefix, node: nameOf(snapshot, node), preference, active: false, age, state, reason });
      rows.set(prefix, known);
    }
  }
  return [...rows].sort(([a], [b]) => comparePrefixes(a, b)).flatMap(([, of]) => of);
}

function rowsOf(snapshot: Snapshot, { prefix, candidates }: Route, now: Timestamp): RouteRow[] {
  const selection = rank(snapshot, candidates, now);
  return ranked(snapshot, candidates, now).map((one): RouteRow => {
    const active = selection.best.some(({ node }) => node === one.node);
    return {
      prefix,
      node: nameOf(snapshot, one.node),
      preference: one.preference,
      active,
      age: seconds(one.since, now),
      state: active ? 'active' : 'backup',
      reason: active ? whyActive(snapshot, selection) : whyNot(snapshot, one, selection),
    };
  });
}

function whyActive(snapshot: Snapshot, { rule, best, backups }: Selection<Ranked>): string {
  const next = backups[0] ? nameOf(snapshot, backups[0].node) : '';
  switch (rule) {
    case 'equal-cost':
      return `equal to ${String(best.length - 1)} more: each node that asks uses one of them`;
    case 'preference':
      return `higher preference than ${next}`;
    case 'standing':
      return `connected, which ${next} is not`;
    case 'only':
    case 'none':
      return 'no other';
  }
}

function whyNot(snapshot: Snapshot, one: Ranked, { best }: Selection<Ranked>): string {
  const first = best[0];
  if (one.standing === standings.gone) return 'its holding time is over';
  if (first && first.standing > one.standing) return 'its session ended';
  return first ? `lower preference than ${nameOf(snapshot, first.node)}` : 'nothing answers from it';
}

function nameOf(snapshot: Snapshot, node: Ranked['node']): string {
  return snapshot.nodes.get(node)?.name ?? node;
}

function seconds(since: Timestamp, now: Timestamp): number {
  return Math.max(0, Math.round((now - since) / 1000));
}
