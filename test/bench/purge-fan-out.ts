// A node gets another key, and everybody that was told of it hears of that: how long until the last of 1,000 has. Beside it the
// same messages, written to the same streams at once by a word from here, and acknowledged likewise.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NhrpMessage } from '#proto/model/nhrp.ts';
import { until } from '#test/support/poll.ts';
import { multipoint, registration, resolution } from '#test/support/registry-fixtures.ts';
import { Node } from './node.ts';
import type { Ready } from './purge-fan-out-registry.ts';
import { formatRows } from './table.ts';

const holders = 1000;
const runs = 9;
const patient = 120_000;

export async function purgeFanOut(): Promise<string> {
  const program = fileURLToPath(new URL('./purge-fan-out-registry.ts', import.meta.url));
  const child = fork(program, [String(holders + 1)], { execArgv: ['--import', 'tsx'] });
  const [registry] = (await once(child, 'message')) as [Ready];
  const all: Node[] = [];
  try {
    for (const one of registry.nodes) {
      const node = new Node(registry, one);
      all.push(node);
      // One after the other: the handshakes are not what is measured.
      await until('it is welcome', () => node.welcome, { within: patient, every: 1 });
    }
    return await measure(all, () => child.send('write'));
  } finally {
    for (const node of all) node.close();
    child.send('stop');
    await once(child, 'exit');
  }
}

async function measure([mover, ...rest]: readonly Node[], writeBare: () => void): Promise<string> {
  if (!mover) throw new Error('nobody changes');
  let id = 0;
  const register = (key: string): void => {
    mover.say({ ...registration(mover.address, [multipoint(key)]), requestId: ++id });
  };
  const registered = heard([mover], 'registration-reply');
  register('first');
  await registered;
  const purged: number[] = [];
  const registeredAfter: number[] = [];
  const bare: number[] = [];
  for (let run = 0; run < runs; run++) {
    const answered = heard(rest, 'resolution-reply');
    for (const node of rest) node.say({ ...resolution(node.address, mover.address), requestId: run + 1 });
    await answered;

    const begunBare = performance.now();
    const written = heard(rest, 'purge-request', acknowledge);
    writeBare();
    bare.push((await written) - begunBare);

    const begun = performance.now();
    const told = heard(rest, 'purge-request', acknowledge);
    const done = heard([mover], 'registration-reply');
    register(`key ${String(run)}`);
    const [last, replied] = await Promise.all([told, done]);
    purged.push(last - begun);
    registeredAfter.push(replied - begun);
  }
  return formatRows(`purge fan-out to ${String(rest.length)} holders, one replica, etcd on the same machine`, [
    { what: 'the same messages, bare', values: bare, unit: 'ms' },
    { what: 'registration until its reply', values: registeredAfter, unit: 'ms' },
    { what: 'registration until the last purge request', values: purged, unit: 'ms' },
  ]);
}

function acknowledge(node: Node, message: NhrpMessage): void {
  node.say({ ...message, body: { ...message.body, type: 'purge-reply' } as NhrpMessage['body'] });
}

/** The moment at which the last of them has got a message of the type. */
function heard(
  nodes: readonly Node[],
  type: NhrpMessage['body']['type'],
  then: (node: Node, message: NhrpMessage) => void = () => undefined,
): Promise<number> {
  return new Promise((resolve) => {
    let missing = nodes.length;
    for (const node of nodes) {
      node.onNhrp = (message) => {
        if (message.body.type !== type) return;
        node.onNhrp = () => undefined;
        then(node, message);
        missing--;
        if (missing === 0) resolve(performance.now());
      };
    }
  });
}
