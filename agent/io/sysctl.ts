import { readdir, readFile, writeFile } from 'node:fs/promises';
import { systemCode } from '#proto/kit/errors.ts';
import type { Sysctls } from './host-port.ts';

/** Kernel settings of the network namespace that this process is in. */
export const procSysctls: Sysctls = {
  async read(name) {
    try {
      return (await readFile(pathOf(name), 'utf8')).trim();
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  },
  async write(name, value) {
    await writeFile(pathOf(name), `${value}\n`);
  },
  async children(name) {
    try {
      return (await readdir(pathOf(name))).map(swapped);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw error;
    }
  },
};

function pathOf(name: string): string {
  return `/proc/sys/${swapped(name)}`;
}

function swapped(name: string): string {
  return name.replace(/[./]/g, (character) => (character === '.' ? '/' : '.'));
}
