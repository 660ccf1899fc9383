import type { Sysctls } from '#agent/io/host-port.ts';

/** The value of every name that the kernel has. */
export async function observeSysctls(
  names: Iterable<string>,
  readSysctl: Sysctls['read'],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  await Promise.all(
    [...names].map(async (name) => {
      const value = await readSysctl(name);
      if (value !== undefined) found.set(name, value);
    }),
  );
  return found;
}
