/*
 * What of the Container Runtime Interface (`runtime.v1`, as kubelet speaks it) tests need, and a containerd of our own.
 */
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { runCommandSync } from '#test/helpers/command.ts';
import { waitFor } from '#test/helpers/wait.ts';
import type { Cave } from '../daemons.ts';
import { PLUGIN } from '../node.ts';

const PAUSE = join(import.meta.dirname, '../../../build/test-pause');
const IMAGE = 'localhost/pause:1';
const DEADLINE = 60_000;

const CRI = protobuf.parse(`
syntax = "proto3";
package runtime.v1;
message StatusRequest {}
message StatusResponse { RuntimeStatus status = 1; }
message RuntimeStatus { repeated RuntimeCondition conditions = 1; }
message RuntimeCondition { string type = 1; bool status = 2; string reason = 3; string message = 4; }
message RunPodSandboxRequest { PodSandboxConfig config = 1; }
message RunPodSandboxResponse { string pod_sandbox_id = 1; }
message PodSandboxConfig {
  PodSandboxMetadata metadata = 1;
  repeated PortMapping port_mappings = 5;
  map<string, string> annotations = 7;
  LinuxPodSandboxConfig linux = 8;
}
message PodSandboxMetadata { string name = 1; string uid = 2; string namespace = 3; uint32 attempt = 4; }
message PortMapping { int32 protocol = 1; int32 container_port = 2; int32 host_port = 3; string host_ip = 4; }
message LinuxPodSandboxConfig { string cgroup_parent = 1; }
message PodSandboxStatusRequest { string pod_sandbox_id = 1; bool verbose = 2; }
message PodSandboxStatusResponse { PodSandboxStatus status = 1; map<string, string> info = 2; }
message PodSandboxStatus { string id = 1; int32 state = 3; PodSandboxNetworkStatus network = 5; }
message PodSandboxNetworkStatus { string ip = 1; repeated PodIP additional_ips = 2; }
message PodIP { string ip = 1; }
message StopPodSandboxRequest { string pod_sandbox_id = 1; }
message StopPodSandboxResponse {}
message RemovePodSandboxRequest { string pod_sandbox_id = 1; }
message RemovePodSandboxResponse {}
`).root;

/** A pod as kubelet asks for it. */
export interface Sandbox {
  readonly name: string;
  readonly uid: string;
  readonly attempt?: number;
  readonly ports?: readonly { containerPort: number; hostPort: number }[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What a sandbox is like. */
export interface SandboxState {
  readonly addresses: readonly string[];
  /** In the cave. */
  readonly pid: number;
}

/** containerd as it is, in a cave, with an image for the pods' first process. */
export class Containerd {
  readonly #cave: Cave;
  readonly #folder: string;
  readonly #cniSocket: string;
  #child: ChildProcess | undefined;
  #client: Client | undefined;
  log = '';

  /** @param cniSocket where the plugin finds felix */
  constructor(cave: Cave, folder: string, cniSocket: string) {
    this.#cave = cave;
    this.#folder = folder;
    this.#cniSocket = cniSocket;
    for (const each of ['bin', 'conf', 'image']) fs.mkdirSync(join(folder, each), { recursive: true });
    fs.copyFileSync(PLUGIN, join(folder, 'bin/margay'));
    fs.chmodSync(join(folder, 'bin/margay'), 0o755);
    fs.symlinkSync('/usr/lib/cni/loopback', join(folder, 'bin/loopback'));
    fs.writeFileSync(join(folder, 'config.toml'), this.#configuration());
  }

  /** The list in /etc/cni/net.d. */
  configure(list: object): void {
    fs.writeFileSync(join(this.#folder, 'conf/10-margay.conflist'), JSON.stringify(list));
  }

  async start(): Promise<void> {
    const [command, ...args] = [...this.#cave.within, 'containerd', '-c', join(this.#folder, 'config.toml')];
    // What it gives on to plugins.
    const child = this.#cave.netns.spawn(command!, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { MARGAY_CNI_SOCKET: this.#cniSocket },
    });
    this.#child = child;
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      this.log += text;
    });
    this.#client?.close();
    this.#client = new Client(`unix:${this.#socket}`, credentials.createInsecure());
    await this.#ready(() => true, 'containerd');
    await this.#cave.exec('ctr', [
      ...['-a', this.#socket, '-n', 'k8s.io', 'images', 'import', '--snapshotter', 'native'],
      this.#image(),
    ]);
  }

  /** Until it takes the network for ready, or not. */
  networkReady(is: boolean): Promise<void> {
    return this.#ready(
      (conditions) => conditions.find(({ type }) => type === 'NetworkReady')?.status === is,
      `the network to be ${is ? '' : 'not '}ready`,
    );
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  close(): void {
    this.#client?.close();
  }

  /** @returns its id; throws what containerd says */
  async run({ name, uid, attempt = 0, ports = [], annotations = {} }: Sandbox): Promise<string> {
    const config = {
      metadata: { name, uid, namespace: 'shop', attempt },
      portMappings: ports,
      annotations,
      linux: {},
    };
    return ((await this.#call('RunPodSandbox', { config })) as { podSandboxId: string }).podSandboxId;
  }

  async state(podSandboxId: string): Promise<SandboxState> {
    const { status, info } = (await this.#call('PodSandboxStatus', { podSandboxId, verbose: true })) as {
      status: { network: { ip: string; additionalIps?: { ip: string }[] } };
      info: { info: string };
    };
    const { ip, additionalIps = [] } = status.network;
    return { addresses: [ip, ...additionalIps.map((each) => each.ip)], pid: JSON.parse(info.info).pid };
  }

  async stop(podSandboxId: string): Promise<void> {
    await this.#call('StopPodSandbox', { podSandboxId });
  }

  async remove(podSandboxId: string): Promise<void> {
    await this.#call('RemovePodSandbox', { podSandboxId });
  }

  get #socket(): string {
    return join(this.#folder, 'c.sock');
  }

  #call(method: string, request: object): Promise<unknown> {
    const asked = CRI.lookupType(`runtime.v1.${method}Request`);
    const answered = CRI.lookupType(`runtime.v1.${method}Response`);
    return new Promise((resolve, reject) =>
      this.#client!.makeUnaryRequest(
        `/runtime.v1.RuntimeService/${method}`,
        (value: object) => Buffer.from(asked.encode(asked.fromObject(value)).finish()),
        (bytes: Buffer) => answered.toObject(answered.decode(bytes), { defaults: true }),
        request,
        { deadline: Date.now() + DEADLINE },
        (error, value) => (error ? reject(error) : resolve(value)),
      ),
    );
  }

  async #ready(
    fits: (conditions: { type: string; status: boolean }[]) => boolean,
    what: string,
  ): Promise<void> {
    await waitFor(
      async () => {
        const { status } = (await this.#call('Status', {})) as {
          status: { conditions: { type: string; status: boolean }[] };
        };
        return fits(status.conditions);
      },
      { what, timeout: DEADLINE, interval: 100, details: () => this.log.slice(-2000) },
    );
  }

  #configuration(): string {
    const cri = '"io.containerd.grpc.v1.cri"';
    return `
version = 2
root = "${this.#folder}/root"
state = "${this.#folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "${this.#socket}"
[ttrpc]
  address = "${this.#folder}/t.sock"
[plugins.${cri}]
  sandbox_image = "${IMAGE}"
  # Nothing of ours is to be left in the machine's cgroups.
  disable_cgroup = true
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_port = "0"
  [plugins.${cri}.cni]
    bin_dir = "${this.#folder}/bin"
    conf_dir = "${this.#folder}/conf"
  [plugins.${cri}.containerd]
    snapshotter = "native"
`;
  }

  /** An OCI image of one program. */
  #image(): string {
    const folder = join(this.#folder, 'image');
    const archive = join(this.#folder, 'image.tar');
    if (fs.existsSync(archive)) return archive;
    const blobs = join(folder, 'blobs/sha256');
    fs.mkdirSync(blobs, { recursive: true });
    const layer = join(this.#folder, 'layer.tar');
    fs.copyFileSync(PAUSE, join(this.#folder, 'pause'));
    runCommandSync('tar', ['-C', this.#folder, '-cf', layer, 'pause']);
    const put = (bytes: Buffer | string) => {
      const digest = createHash('sha256').update(bytes).digest('hex');
      fs.writeFileSync(join(blobs, digest), bytes);
      return { digest: `sha256:${digest}`, size: Buffer.byteLength(bytes) };
    };
    const type = (name: string): string => `application/vnd.oci.image.${name}`;
    const layers = put(fs.readFileSync(layer));
    const config = put(
      JSON.stringify({
        architecture: process.arch === 'x64' ? 'amd64' : process.arch,
        os: 'linux',
        config: { Entrypoint: ['/pause'] },
        rootfs: { type: 'layers', diff_ids: [layers.digest] },
      }),
    );
    const manifest = put(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: type('manifest.v1+json'),
        config: { mediaType: type('config.v1+json'), ...config },
        layers: [{ mediaType: type('layer.v1.tar'), ...layers }],
      }),
    );
    const annotations = { 'io.containerd.image.name': IMAGE };
    fs.writeFileSync(
      join(folder, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        manifests: [{ mediaType: type('manifest.v1+json'), ...manifest, annotations }],
      }),
    );
    fs.writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    runCommandSync('tar', ['-C', folder, '-cf', archive, 'oci-layout', 'index.json', 'blobs']);
    return archive;
  }
}
