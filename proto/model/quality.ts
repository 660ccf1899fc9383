/** When a path that is Up loses to another one: "quality" in agent.yaml. */
export interface QualityConfig {
  /** Percent of packets there and back. */
  readonly loss: number;
  /** Milliseconds there and back; absent: however slow it is. */
  readonly rtt: number | undefined;
}

export const defaultQuality: QualityConfig = { loss: 10, rtt: undefined };
