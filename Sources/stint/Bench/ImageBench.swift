// Owns: what an image costs: the same Job in an image and as host processes, in turn, and what other runtimes reach on
// this machine. It must not know how images are kept or run.

import ClusterIO
import ClusterProto
import Glibc
import NodeAgent

/// Pods of one local image on three agents.
enum ImageBench {
  @Sendable static func run(_ bench: BenchContext) throws -> [BenchFigure] {
    let what = "pods of a local image"
    guard geteuid() == 0 else { return [BenchFigure(name: what, value: "not measured: images need root")] }
    guard let image = try BenchImage(in: "\(bench.directory)/image") else {
      return [BenchFigure(name: what, value: "not measured: there is no busybox-static or tar")]
    }
    bench.progress(what)
    let cluster = try BenchCluster(bench, name: "images", agents: 3, flags: ["--images", "on"])
    defer { cluster.stop() }
    for data in cluster.agentData {
      do throws(ImageError) {
        _ = try NodeImages(data: data).load(image.archive, name: nil)
      } catch {
        throw CommandError("error: \(error)")
      }
    }
    return try rates(bench, cluster, image) + latency(bench, cluster) + execs(bench, cluster)
  }

  /// Jobs in turn, so that what slows the machine for a while slows both.
  private static func rates(_ bench: BenchContext, _ cluster: BenchCluster, _ image: BenchImage) throws -> [BenchFigure]
  {
    let pods = bench.size(2_000, quick: 300)
    let rounds = bench.isQuick ? 1 : 3
    var rates: [String: [Double]] = [:]
    var cpu: [String: [Double]] = [:]
    // The first of all is for what only a first pod needs.
    try time(cluster, BenchManifest.job("first", completions: 50, parallelism: 50, image: BenchImage.name))
    for round in 0..<rounds {
      for name in round % 2 == 0 ? [BenchImage.name, "host"] : ["host", BenchImage.name] {
        let before = cluster.cpuSeconds()
        let job = BenchManifest.job(
          "images-\(round)-\(name == "host" ? "no" : "yes")", completions: pods, parallelism: 128, image: name)
        rates[name, default: []].append(Double(pods) / (try time(cluster, job)))
        cpu[name, default: []].append((cluster.cpuSeconds() - before) * 1_000 / Double(pods))
      }
    }
    let (images, hosts) = (rates[BenchImage.name] ?? [], rates["host"] ?? [])
    let share = Spread(of: images, over: hosts).median
    let rate = Spread(images).median
    let text = BenchCommand.text
    var figures = [
      BenchFigure(
        name: "one Job of \(pods) x /bin/true of a local image",
        value: "\(text(rate, 0)) pods/s, \(text(share * 100, 0)) % of the same as host processes "
          + "(\(text(Spread(hosts).median, 0)))", reach: ">= 72 %", isMet: share >= 0.72),
      BenchFigure(
        name: "CPU a pod of it, everything counted",
        value: "\(text(Spread(cpu[BenchImage.name] ?? []).median, 2)) ms, host processes "
          + "\(text(Spread(cpu["host"] ?? []).median, 2)) ms"),
    ]
    for (name, factor, other) in [("crun run", 4.0, crun(bench, image)), ("podman run", 40, podman(bench, image))] {
      guard let other else {
        figures.append(BenchFigure(name: name, value: "not there"))
        continue
      }
      figures.append(
        BenchFigure(
          name: "\(name) of the same, one after the other",
          value: "\(text(other.perSecond, 1))/s: the Job is \(text(rate / other.perSecond, 1)) times as fast",
          reach: ">= \(text(factor, 0))", isMet: rate >= factor * other.perSecond))
    }
    return figures
  }

  @discardableResult
  private static func time(_ cluster: BenchCluster, _ job: JSON) throws -> Double {
    let client = cluster.makeClient()
    let start = Clocks.boot()
    try JobBench.watch(
      cluster, count: 1, start: { _ = try client.send(BenchManifest.create(job)) }, over: { _ in })
    return Double(Clocks.boot() - start) / 1e9
  }

  /// By one connection, as Jobs of host processes are measured.
  private static func latency(_ bench: BenchContext, _ cluster: BenchCluster) throws -> [BenchFigure] {
    let jobs = bench.size(100, quick: 30)
    let client = cluster.makeClient()
    var times: [Double] = []
    var begun: Int64 = 0
    func submit() throws {
      begun = Clocks.boot()
      let job = BenchManifest.job("single-\(times.count)", image: BenchImage.name)
      _ = try client.send(BenchManifest.create(job))
    }
    try JobBench.watch(cluster, count: jobs, start: submit) { _ in
      times.append(Double(Clocks.boot() - begun) / 1e6)
      if times.count < jobs { try submit() }
    }
    return [half("submit -> Complete, one pod of the image", times, reach: 10)]
  }

  /// The median of times in ms, beside what it should be at most.
  private static func half(_ name: String, _ times: [Double], reach: Double) -> BenchFigure {
    let spread = Spread(times)
    let text = BenchCommand.text
    return BenchFigure(
      name: "\(name), p50 of \(times.count)", value: "\(text(spread.median, 1)) ms, p99 \(text(spread.p99, 1)) ms",
      reach: "<= \(text(reach, 0)) ms", isMet: spread.median <= reach)
  }

  /// `true` in a container of the image that runs, again and again. A client that is connected asks, and each stream
  /// has a connection of its own, as always; the start of a client's process is not in it.
  private static func execs(_ bench: BenchContext, _ cluster: BenchCluster) throws -> [BenchFigure] {
    let job = BenchManifest.job("entered", command: ["/bin/sleep", "600"], image: BenchImage.name)
    let client = cluster.makeClient()
    _ = try client.send(BenchManifest.create(job))
    let limit = Clocks.boot() + 60_000_000_000
    let entry = cluster.makePodEntry()
    var pod: String?
    while pod == nil {
      let pods = try client.list(.pods, "default", labels: "job-name=entered")["items"]?.arrayValue ?? []
      pod = pods.first { $0[path: ["status", "phase"]] == "Running" }?[path: ["metadata", "name"]]?.stringValue
      guard Clocks.boot() < limit else { throw CommandError("error: the pod to be entered does not run") }
      poll(nil, 0, 5)
    }
    var options = PodStreamOptions()
    options.command = ["/bin/true"]
    (options.stdout, options.stderr) = (true, true)
    var times: [Double] = []
    for _ in 0..<bench.size(100, quick: 30) {
      let begun = Clocks.boot()
      let end = try ExecSession(try entry.open(.exec, pod: pod ?? "", options)).run(entry, options)
      guard end.code == 200, end.exitCode ?? 0 == 0 else { throw CommandError("error: exec: \(end.message)") }
      times.append(Double(Clocks.boot() - begun) / 1e6)
    }
    return [half("exec of true in it", times, reach: 15)]
  }

  /// crun with what its own `spec` says, less the terminal.
  private static func crun(_ bench: BenchContext, _ image: BenchImage) -> SpawnRate? {
    let bundle = "\(bench.directory)/bundle"
    guard access("/usr/bin/crun", X_OK) == 0, (try? Files.makeDirectory(bundle)) != nil,
      SpawnRate(["/usr/bin/crun", "spec", "--bundle", bundle], count: 1) != nil,
      let bytes = try? Files.read("\(bundle)/config.json"), var specification = try? JSON(parsing: bytes)
    else { return nil }
    specification[path: ["process", "terminal"]] = false
    specification[path: ["process", "args"]] = ["/bin/true"]
    specification[path: ["root", "path"]] = .string(image.root)
    guard (try? Files.writeAtomically("\(bundle)/config.json", specification.bytes)) != nil else { return nil }
    return SpawnRate(
      ["/usr/bin/crun", "run", "--bundle", bundle, "stint-bench"], count: bench.size(100, quick: 20))
  }

  private static func podman(_ bench: BenchContext, _ image: BenchImage) -> SpawnRate? {
    guard access("/usr/bin/podman", X_OK) == 0 else { return nil }
    return SpawnRate(
      ["/usr/bin/podman", "run", "--rm", "--network=host", "--rootfs", image.root, "/bin/true"],
      count: bench.size(10, quick: 3))
  }
}
