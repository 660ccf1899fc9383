import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Store } from '#registry/store/port.ts';

/** grpc.health.v1: NOT_SERVING while the data of the overlay is missing, and from when the registry begins to stop. */
export class Health {
  readonly #store: Pick<Store, 'snapshot'>;
  readonly #service: Pick<HealthImplementation, 'setStatus' | 'addToServer'>;
  readonly #unsubscribe: () => void;
  #draining = false;

  constructor(
    store: Pick<Store, 'snapshot' | 'onChange'>,
    service: Pick<HealthImplementation, 'setStatus' | 'addToServer'> = new HealthImplementation(),
  ) {
    this.#store = store;
    this.#service = service;
    this.#unsubscribe = store.onChange(() => {
      this.#say();
    });
    this.#say();
  }

  addTo(server: Server): void {
    this.#service.addToServer(server);
  }

  drain(): void {
    this.#draining = true;
    this.#unsubscribe();
    this.#say();
  }

  #say(): void {
    const serving = !this.#draining && this.#store.snapshot().overlay !== undefined;
    this.#service.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
  }
}
