/**
 * What the set-up provides, each in one table: Debian packages, C programs, generated files. To add one, add a line.
 */

/**
 * @typedef {object} DebianPackage
 * @property {string} name
 * @property {string} why what uses it
 * @property {string[]} [daemons] process names (at most 15 bytes, as in /proc/PID/comm) of its services, none of which
 *   may be left running
 * @property {string[]} [unless] packages of others that bring the same and can not be beside it; where one is installed, it stays
 */

/** @type {readonly DebianPackage[]} */
export const debianPackages = [
  {
    name: 'iproute2',
    why: 'ip, tc and ss: namespaces for tests and lab, and the reference for what we install',
  },
  { name: 'nftables', why: 'nft: the reference for what we install' },
  { name: 'conntrack', why: 'shows and makes connection tracking entries in tests' },
  { name: 'iputils-ping', why: 'reachability in tests and lab' },
  { name: 'openssl', why: 'certificates in tests' },
  { name: 'tcpdump', why: 'packet captures' },
  { name: 'iperf3', why: 'load in benchmarks', daemons: ['iperf3'] },
  { name: 'ethtool', why: 'offload settings in benchmarks' },
  { name: 'gobgpd', why: 'BGP peer in tests', daemons: ['gobgpd'] },
  {
    name: 'bird2',
    why: 'BGP peer in tests, top-of-rack router in the lab',
    daemons: ['bird'],
  },
  {
    name: 'frr',
    why: 'BGP peer in tests',
    daemons: ['watchfrr', 'zebra', 'bgpd', 'staticd', 'mgmtd'],
  },
  {
    name: 'containernetworking-plugins',
    why: 'portmap, bandwidth and others that are chained to ours in tests',
  },
  {
    name: 'containerd',
    why: 'container runtime that calls our CNI plugin in tests',
    daemons: ['containerd'],
    // Docker's own package, and runtimes that are put together in other ways.
    unless: ['containerd.io'],
  },
  { name: 'zsh', why: 'completes command lines in tests' },
  { name: 'gcc', why: 'builds the C programs below' },
  { name: 'libc6-dev', why: 'headers and static C library for them' },
];

/**
 * @typedef {object} CProgram
 * @property {string} output path from the top of the repository, under build/
 * @property {string[]} sources paths from the top of the repository; every `.c` is compiled, headers only watched
 * @property {string[]} [flags] besides -O2 -Wall -Wextra -Werror -static
 */

/** @type {readonly CProgram[]} */
export const cPrograms = [
  { output: 'build/bench-replay', sources: ['bench/kernel/replay.c'] },
  { output: 'build/bench-rounds', sources: ['bench/path/rounds.c'] },
  { output: 'build/bench-watch', sources: ['bench/dataplane/watch.c'] },
  { output: 'build/bench-launch', sources: ['bench/cni/launch.c'] },
  { output: 'build/test-pause', sources: ['test/felix/cni/pause.c'] },
  { output: 'build/margay-cni', sources: ['felix/plugin/margay-cni.c'] },
];

/**
 * @typedef {object} GeneratedFile
 * @property {string} output path from the top of the repository
 * @property {string[]} sources paths from the top of the repository
 * @property {string[]} command run at the top of the repository; must write `output`
 */

/** @type {readonly GeneratedFile[]} */
export const generatedFiles = ['bgp', 'policy', 'felix', 'ipam'].map((name) => ({
  output: `proto/generated/${name}.js`,
  sources: [`proto/${name}.proto`, 'proto/generate.mjs', 'package-lock.json'],
  command: ['node', 'proto/generate.mjs', name],
}));
