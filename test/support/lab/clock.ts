// A wall clock of its own for a program of ours (libfaketime in its process): set forward and back while it runs. The clock that never
// jumps, and the programs that it starts, are not concerned.
import { writeFile } from 'node:fs/promises';

export interface WallClock {
  /** For the program. */
  readonly env: Readonly<Record<string, string>>;
  /** Seconds by which it is wrong from now on; seen within a second. */
  set(offset: number): Promise<void>;
}

export async function createWallClock(file: string): Promise<WallClock> {
  const set = (offset: number): Promise<void> => writeFile(file, `${offset < 0 ? '' : '+'}${String(offset)}`);
  await set(0);
  return {
    set,
    env: {
      // The loader puts the machine's own folder in the place of $LIB.
      LD_PRELOAD: '/usr/$LIB/faketime/libfaketime.so.1',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      FAKETIME_ONLY_CMDS: 'node',
    },
  };
}
