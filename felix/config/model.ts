import type { LogLevel } from '#daemon/log.ts';
import type { TlsFiles } from '#proto/tls.ts';
import type { DataplaneSettings } from '../dataplane/settings.ts';

export interface FelixConfig {
  /** Name of the Node object. */
  readonly node: string;
  readonly policy: {
    /** `unix:/path` or `host:port`. */
    readonly address: string;
    /** For `host:port`. */
    readonly tls: TlsFiles | undefined;
  };
  readonly api: { readonly socket: string };
  readonly dataplane: DataplaneSettings;
  readonly log: { readonly level: LogLevel };
}

export const DEFAULT_FELIX_SOCKET = '/run/margay/felix.sock';
export const DEFAULT_POLICY_ADDRESS = 'unix:/run/margay/policy.sock';
