/** The rows of the benchmark. A row is a load and the metrics to print for it. */

import type { Figures } from "./load.ts";
import type { LoadOptions } from "./servers.ts";

/** A row of the table. */
export interface Row {
  load: LoadOptions;
  /** A second load, measured first on a fresh server, for metrics that compare. */
  base?: { server?: "bare"; load?: LoadOptions };
  metrics: Metric[];
}

/** A figure of a row. */
export interface Metric {
  name: string;
  of(figures: Figures, base: Figures): number | undefined;
  /** Whether a smaller figure is better. */
  less?: boolean;
  /** Whether the figure is valid for a load that was stopped early. */
  ofPart?: boolean;
}

export const deliveries: Metric = {
  name: "million deliveries/s",
  of: ({ deliveriesASecond }) => deliveriesASecond / 1e6,
  ofPart: true,
};
const cpu: Metric = {
  name: "µs of server CPU per delivery",
  of: ({ cpuADelivery }) => cpuADelivery,
  less: true,
  ofPart: true,
};
const saturated = [deliveries, cpu];
const latencies: Metric[] = [
  { name: "ms latency, p50", of: ({ p50 }) => p50, less: true },
  { name: "ms latency, p99", of: ({ p99 }) => p99, less: true },
  cpu,
];
/**
 * Compares the server of a cluster with a single server. One of two servers delivers half
 * of the lines.
 */
const cpuRatio = (servers: number): Metric => ({
  name: "% of the CPU per delivery of one server",
  of: (cluster, one) =>
    cluster.cpuADelivery && one.cpuADelivery &&
    100 * servers * cluster.cpuADelivery / one.cpuADelivery,
  less: true,
  ofPart: true,
});

export const ROWS: Record<string, Row> = {
  "saturated-100": { load: { n: 100, s: 10, l: 20_000 }, metrics: saturated },
  "saturated-10": { load: { n: 10, s: 10, l: 20_000 }, metrics: saturated },
  "saturated-1000": { load: { n: 1000, s: 10, l: 200 }, metrics: saturated },
  "long-lines": {
    load: { n: 100, s: 10, l: 500, size: 4000 },
    metrics: saturated,
  },
  "calm": {
    load: { n: 100, s: 10, l: 200, rate: 200, seconds: 20 },
    metrics: latencies,
  },
  "busy": {
    load: { n: 500, s: 10, l: 200, rate: 200, seconds: 20 },
    metrics: latencies,
  },
  "crowd-joins": {
    load: { n: 3000, s: 1, l: 1, timeout: 100 },
    metrics: [{
      name: "s until 3,000 have joined",
      of: ({ join }) => join,
      less: true,
    }],
  },
  "crowd-idle": {
    load: { n: 5000, s: 1, l: 1, timeout: 100 },
    metrics: [
      {
        name: "MB of memory with 5,000 clients",
        of: ({ memory }) => memory && memory / 1000,
        less: true,
      },
      {
        name: "kB of memory per client",
        of: ({ memoryAClient }) => memoryAClient,
        less: true,
      },
    ],
  },
  "web-100": {
    load: { n: 100, s: 10, l: 20_000, web: 1 },
    base: { load: { web: 0 } },
    metrics: [
      ...saturated,
      {
        name: "% of the deliveries/s to TCP clients",
        of: (web, tcp) => 100 * web.deliveriesASecond / tcp.deliveriesASecond,
        ofPart: true,
      },
    ],
  },
  "web-calm": {
    load: { n: 100, s: 10, l: 200, rate: 200, seconds: 20, web: 1 },
    base: { load: { web: 0 } },
    metrics: [
      ...latencies,
      {
        name: "% of the p50 of TCP clients",
        of: (web, tcp) => web.p50 && tcp.p50 && 100 * web.p50 / tcp.p50,
        less: true,
      },
    ],
  },
  "web-idle": {
    load: { n: 5000, s: 1, l: 1, timeout: 100, web: 1 },
    base: { load: { web: 0 } },
    metrics: [
      {
        name: "kB of memory per client",
        of: ({ memoryAClient }) => memoryAClient,
        less: true,
      },
      {
        name: "% of the memory per TCP client",
        of: (web, tcp) =>
          web.memoryAClient && tcp.memoryAClient &&
          100 * web.memoryAClient / tcp.memoryAClient,
        less: true,
      },
    ],
  },
  "churn": {
    load: { n: 100, s: 10, l: 2000, churn: 20_000, timeout: 30 },
    base: { load: { churn: 0 } },
    metrics: [
      {
        name: "thousand joins and leaves within 30 s",
        of: ({ churned }) => churned / 1000,
        ofPart: true,
      },
      {
        name: "% of the deliveries/s of a fresh server",
        of: (after, fresh) =>
          100 * after.deliveriesASecond / fresh.deliveriesASecond,
        ofPart: true,
      },
      {
        name: "MB of memory more than a fresh server",
        of: (after, fresh) =>
          after.memory && fresh.memory && (after.memory - fresh.memory) / 1000,
        less: true,
        ofPart: true,
      },
    ],
  },
  "cluster-1x100": {
    load: { n: 100, s: 10, l: 20_000, cluster: 1 },
    base: { load: { cluster: 0 } },
    metrics: [deliveries, cpuRatio(1)],
  },
  "cluster-1x100-calm": {
    load: { n: 100, s: 10, l: 200, rate: 200, seconds: 20, cluster: 1 },
    base: { load: { cluster: 0 } },
    metrics: [...latencies.slice(0, 2), cpuRatio(1)],
  },
  "cluster-2x50": {
    load: { n: 100, s: 10, l: 20_000, cluster: 2 },
    base: { load: { cluster: 0 } },
    metrics: [
      deliveries,
      {
        name: "% of the deliveries/s of one server",
        of: (two, one) => 100 * two.deliveriesASecond / one.deliveriesASecond,
        ofPart: true,
      },
      cpuRatio(2),
    ],
  },
  "cluster-2x50-calm": {
    load: { n: 100, s: 10, l: 200, rate: 200, seconds: 20, cluster: 2 },
    base: { load: { cluster: 0 } },
    metrics: [
      ...latencies.slice(0, 2),
      {
        name: "ms of latency more than one server, p50",
        of: (two, one) => two.p50 && one.p50 && two.p50 - one.p50,
        less: true,
      },
      cpuRatio(2),
    ],
  },
  "limit": {
    load: { n: 100, s: 10, l: 20_000 },
    base: { server: "bare" },
    metrics: [
      { name: "GB/s", of: ({ bytesASecond }) => bytesASecond / 1e9 },
      {
        name: "% of the bytes of a bare program",
        of: (chat, bare) => 100 * chat.bytesASecond / bare.bytesASecond,
      },
    ],
  },
};

/** The rows of the plot, with about 2 million deliveries each. */
export const PLOT_ROWS: Record<string, Row> = Object.fromEntries(
  [3, 10, 30, 100, 300, 1000].map((n) => {
    const s = Math.min(10, n);
    const l = Math.round(2_000_000 / n / s);
    return [`clients-${n}`, {
      load: { n, s, l, seconds: 3 },
      metrics: [deliveries],
    }];
  }),
);
