import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Store } from '#registry/store/port.ts';

/** grpc.health.v1: NOT_SERVING while the data of the overlay is missing, while nodes are sent away, and when the registry stops. */
export class Health {
  readonly #store: Pick<Store, 'snapshot'>;
  readonly #service: Pick<HealthImplementation, 'setStatus' | 'addToServer'>;
  readonly #unsubscribe: () => void;
  #serves = true;

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

  /** Whether nodes may come. */
  serve(serves: boolean): void {
    this.#serves = serves;
    this.#say();
  }

  stop(): void {
    this.#unsubscribe();
    this.serve(false);
  }

  #say(): void {
    const serving = this.#serves && this.#store.snapshot().overlay !== undefined;
    this.#service.setStatus('', serving ? 'SERVING' : 'NOT_SERVING');
  }
}
