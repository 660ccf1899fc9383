import { errorText } from '#proto/kit/errors.ts';
import { ExecError, type Run } from '#agent/io/host-port.ts';
import type { Outcome } from './batch.ts';
import { type PeerChange, peerArguments } from './commands.ts';

/** The kernel takes 2 MiB of arguments at once. */
const argumentsLimit = 500_000;

/** Changes peers of one interface: as many as fit with one `wg set`. A change that fails takes no other with it. */
export async function changePeers(run: Run, name: string, changes: readonly PeerChange[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const chunk of chunks(changes)) outcomes.push(...(await setPeers(run, name, chunk)));
  return outcomes;
}

async function setPeers(run: Run, name: string, changes: readonly PeerChange[]): Promise<Outcome[]> {
  try {
    await run('wg', ['set', name, ...changes.flatMap(peerArguments)]);
    return changes.map(() => undefined);
  } catch (error) {
    const message = errorText(error);
    if (isGone(message) || !wasRefused(error) || changes.length === 1) {
      return changes.map((change) => (change.kind === 'remove-peer' && isGone(message) ? undefined : message));
    }
    const middle = changes.length >> 1;
    const first = await setPeers(run, name, changes.slice(0, middle));
    return [...first, ...(await setPeers(run, name, changes.slice(middle)))];
  }
}

/** By wg, for something in these changes. A wireguard-go that does not answer at all will not answer to a half of them. */
function wasRefused(error: unknown): boolean {
  return error instanceof ExecError && error.exitCode !== undefined;
}

/** The interface. wg takes one without wireguard-go's socket for one of the kernel, which may know of no WireGuard. */
function isGone(message: string): boolean {
  return /Unable to modify interface: (No such device|Protocol not supported)/.test(message);
}

function* chunks(changes: readonly PeerChange[]): Generator<readonly PeerChange[]> {
  let chunk: PeerChange[] = [];
  let size = 0;
  for (const change of changes) {
    const length = peerArguments(change).reduce((sum, word) => sum + word.length + 9, 0);
    if (chunk.length > 0 && size + length > argumentsLimit) {
      yield chunk;
      chunk = [];
      size = 0;
    }
    chunk.push(change);
    size += length;
  }
  if (chunk.length > 0) yield chunk;
}
