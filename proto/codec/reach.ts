// What hubs tell each other of the spokes that they reach: lines of JSON over a connection inside their tunnel.
import { z } from 'zod';
import { type NodeId, parseNodeId } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';

export interface ReachLine {
  /** The first line of all that is reached; else what changed. */
  readonly snapshot: boolean;
  /** More lines of it follow. */
  readonly more: boolean;
  readonly up: readonly NodeId[];
  readonly down: readonly NodeId[];
}

/** Octets of a line. */
export const longestReachLine = 64 * 1024;
/** Nodes in a line. */
export const mostReached = 1000;

const line = z.object({
  snapshot: z.boolean().default(false),
  more: z.boolean().default(false),
  up: z.array(z.string()).max(mostReached).default([]),
  down: z.array(z.string()).max(mostReached).default([]),
});

export function encodeReach({ snapshot, more, up, down }: ReachLine): string {
  return `${JSON.stringify({ snapshot, more, up, down })}\n`;
}

/** `text`: without its end. Unknown fields are left alone. Faults: bad-reach. */
export function decodeReach(text: string): Result<ReachLine> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return fail('bad-reach', 'the line is no JSON');
  }
  const parsed = line.safeParse(json);
  if (!parsed.success) return fail('bad-reach', parsed.error.issues[0]?.message ?? 'the line is not as it should be');
  const { snapshot, more } = parsed.data;
  const up = parseIds(parsed.data.up);
  const down = parseIds(parsed.data.down);
  if (!up.ok) return up;
  if (!down.ok) return down;
  return ok({ snapshot, more, up: up.value, down: down.value });
}

function parseIds(texts: readonly string[]): Result<NodeId[]> {
  const ids: NodeId[] = [];
  for (const text of texts) {
    const id = parseNodeId(text);
    if (!id.ok) return id;
    ids.push(id.value);
  }
  return ok(ids);
}

/** Lines that say `up` and `down`; with `snapshot` there is at least one. */
export function reachLines(snapshot: boolean, up: readonly NodeId[], down: readonly NodeId[]): string[] {
  const parts = Math.max(Math.ceil(up.length / mostReached), Math.ceil(down.length / mostReached), snapshot ? 1 : 0);
  return Array.from({ length: parts }, (_, index) => {
    const [from, to] = [index * mostReached, (index + 1) * mostReached];
    const part = { up: up.slice(from, to), down: down.slice(from, to) };
    return encodeReach({ snapshot: snapshot && index === 0, more: index + 1 < parts, ...part });
  });
}
