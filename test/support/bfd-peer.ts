// One BFD shell as a program, to be run in a network namespace: commands as JSON lines on stdin, transitions as JSON lines
// on stdout.
import { createInterface } from 'node:readline';
import { createBfd } from '#agent/io/bfd.ts';
import type { BfdSessionConfig } from '#agent/io/bfd-port.ts';
import { systemClock } from '#proto/kit/clock.ts';
import { createLogger } from '#proto/kit/log.ts';

export type BfdPeerCommand =
  | { readonly do: 'set'; readonly sessions: Readonly<Record<string, BfdSessionConfig>> }
  | { readonly do: 'kick' | 'restart'; readonly path: string }
  | { readonly do: 'show' | 'close' | 'stall' };

const bfd = createBfd({ logger: createLogger('bfd-peer', 'warn'), clock: systemClock, random: Math.random });

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

bfd.onTransition((path, from, to, diagnostic) => {
  say({ event: 'transition', path, from, to, diagnostic, at: Date.now() });
});

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line) as BfdPeerCommand;
  switch (command.do) {
    case 'set':
      bfd.setSessions(new Map(Object.entries(command.sessions)));
      say({ event: 'set', at: Date.now() });
      break;
    case 'kick':
      bfd.kick(command.path);
      break;
    case 'restart':
      bfd.restart(command.path);
      break;
    case 'show':
      say({ event: 'show', sessions: Object.fromEntries(bfd.sessions()), cpu: process.cpuUsage(), at: Date.now() });
      break;
    case 'stall': {
      const until = Date.now() + 2000;
      while (Date.now() < until);
      break;
    }
    case 'close':
      bfd.close();
      process.stdin.pause();
      break;
  }
});

say({ event: 'ready' });
