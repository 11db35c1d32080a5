import type { DatastoreSettings } from '#daemon/datastore-section.ts';
import type { LogLevel } from '#daemon/log.ts';
import type { AddressPrefix } from '#datastore/address.ts';
import type { TlsFiles } from '#proto/tls.ts';
import type { DataplaneSettings } from '../dataplane/settings.ts';
import type { EndpointSettings } from '../endpoints/settings.ts';

export interface FelixConfig {
  /** Name of the Node object. */
  readonly node: string;
  readonly policy: {
    /** `unix:/path` or `host:port`. */
    readonly address: string;
    /** For `host:port`. */
    readonly tls: TlsFiles | undefined;
  };
  /** Where the Node object is read that has the pod CIDRs; undefined where the file has them. */
  readonly datastore: DatastoreSettings | undefined;
  readonly api: { readonly socket: string };
  readonly dataplane: DataplaneSettings;
  /** Undefined where pods are wired by something else. */
  readonly pods: PodSettings | undefined;
  readonly log: { readonly level: LogLevel };
}

/** How pods of the node are wired, and by whom that is asked for. */
export interface PodSettings extends Omit<EndpointSettings, 'podCidrs'> {
  /** Undefined where those of the Node object count. */
  readonly podCidrs: readonly AddressPrefix[] | undefined;

  /** Where the CNI plugin finds the agent. */
  readonly cniSocket: string;
  /** The configuration list that is kept for the runtime, if any. */
  readonly cniConfig: string | undefined;
}

export const DEFAULT_STATE_FOLDER = '/var/lib/margay/felix';
/** Long enough for a policy engine that restarts; shorter than the 90 s that the plugin waits. */
export const DEFAULT_POLICY_WAIT = 30;
export const DEFAULT_POLICY_UNKNOWN = 'refuse';
export const DEFAULT_FELIX_SOCKET = '/run/margay/felix.sock';
export const DEFAULT_POLICY_ADDRESS = 'unix:/run/margay/policy.sock';
export const DEFAULT_LOG_LEVEL = 'info';
