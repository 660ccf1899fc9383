// BIRD on a host of the lab, with files of its own.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { slowness, until } from '../poll.ts';
import type { Router } from './frr.ts';
import type { Host } from './host.ts';

/** `config`: the text of bird.conf. */
export async function startBird(host: Host, config: string): Promise<Router> {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-bird-'));
  const [file, socket] = [join(dir, 'bird.conf'), join(dir, 'bird.ctl')];
  await writeFile(file, config);
  const program = host.spawn(['bird', '-f', '-c', file, '-s', socket, '-P', join(dir, 'bird.pid')]);
  const stop = async (): Promise<void> => {
    await program.stop();
    await rm(dir, { recursive: true, force: true });
  };
  await until(
    `BIRD is ready on ${host.name}`,
    () => {
      if (!program.isRunning()) throw new Error('it ended');
      return existsSync(socket);
    },
    { within: 10_000 * slowness, every: 10, explain: () => program.stderr() },
  ).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { host, log: () => program.stderr(), stop };
}
