// What nodes were told about others, and whether it is still so (RFC 2332 5.2.5: whoever was answered hears of a change).
import { aggregate } from '#proto/model/aggregate.ts';
import { containsPrefix, hostPrefix, networkOf, type Prefix, prefixOf } from '#proto/model/address.ts';
import type { NodeId } from '#proto/model/names.ts';
import { type NhrpMessage, uniquePrefixLength } from '#proto/model/nhrp.ts';
import type { Timestamp } from '#proto/model/time.ts';
import { announcedBy, liveBinding, multipointOf } from './node.ts';
import type { BindingRecord } from './records.ts';
import type { View } from './rib.ts';
import { scopeOf } from './scope.ts';
import type { Snapshot } from './state.ts';

/** One answer: that this prefix leads to that node, with the keys and prefixes that the mark stands for. Endpoints may roam. */
export interface Told {
  readonly prefix: Prefix;
  readonly about: NodeId;
  readonly mark: string;
  /** Of the snapshot that it was answered from. */
  readonly revision: number;
}

/** What a node holds of one other node, as it is stored. */
export interface ToldRecord {
  readonly asker: NodeId;
  readonly about: NodeId;
  /** None: there is no record. */
  readonly answers: readonly (Omit<Told, 'about'> & {
    /** When the asker forgets it by itself, at the latest. */
    readonly until: Timestamp;
  })[];
}

/** The present answer about a prefix; undefined when not all of it leads to that node, or nobody is told so any more. */
export function toldNow(snapshot: Snapshot, prefix: Prefix, about: NodeId, view: View): Told | undefined {
  if (snapshot.overlay?.phase === 1) return undefined;
  const scope = scopeOf(snapshot, networkOf(prefix), view);
  if (scope?.node !== about || !containsPrefix(scope.prefix, prefix)) return undefined;
  const binding = liveBinding(snapshot, about, view.now);
  return binding && toldOf(snapshot, prefix, binding);
}

/** An answer about a prefix that leads to the node of this binding. */
export function toldOf({ revision }: Snapshot, prefix: Prefix, binding: BindingRecord): Told {
  return { prefix, about: binding.node, mark: markOf(binding), revision: Number(revision) };
}

/** Whether what was told differs from the present answer, or the operator had it cleared since. */
export function isStale(snapshot: Snapshot, told: Told, now: Told | undefined): boolean {
  return told.mark !== now?.mark || isCleared(snapshot, told);
}

function isCleared(snapshot: Snapshot, { prefix, revision }: Told): boolean {
  for (const clear of snapshot.clears.values()) {
    if (revision <= clear.after && clear.classes.some((one) => containsPrefix(one, prefix))) return true;
  }
  return false;
}

/** What a request tells the node that it is passed on to: the way back to who asks. Undefined: nothing that may be cached (5.2.1). */
export function introduced({ body, source }: NhrpMessage): Pick<Told, 'prefix' | 'about'> | undefined {
  if (body.type !== 'resolution-request' || !body.target || !body.sourceStable) return undefined;
  const [cie] = body.cies;
  if (!cie || cie.holdingTime === 0) return undefined;
  const prefix = cie.prefixLength === uniquePrefixLength ? hostPrefix(source) : prefixOf(source, cie.prefixLength);
  return { prefix, about: body.target.node };
}

const marks = new WeakMap<BindingRecord, string>();

/** Two bindings with the same mark make the same tunnel: the same key, the same prefixes behind it. */
function markOf(binding: BindingRecord): string {
  const known = marks.get(binding);
  if (known !== undefined) return known;
  const mark = digest([multipointOf(binding)?.publicKey ?? '', ...aggregate(announcedBy(binding))].join(' '));
  marks.set(binding, mark);
  return mark;
}

/** FNV-1a, twice 32 bits: once from the front, once from the back. */
function digest(text: string): string {
  let front = 0x811c9dc5;
  let back = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    front = Math.imul(front ^ text.charCodeAt(index), 0x01000193);
    back = Math.imul(back ^ text.charCodeAt(text.length - 1 - index), 0x01000193);
  }
  return [front, back].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
}
