import { type Server, serverOf } from '#registry/decide/transit.ts';
import type { RegistryContext } from './context.ts';

/** As whom a replica appears in messages: this one by default. Undefined without an overlay. */
export function serverNamed(
  { store, self }: Pick<RegistryContext, 'store' | 'self'>,
  replica: string | undefined = self.id,
): Server | undefined {
  const { overlay } = store.snapshot();
  return overlay && serverOf(overlay, { id: replica });
}
