// Owns: reading what a pod's processes and the machine use, from cgroups where there are any, else from /proc. Only the
// kernel's files, never a disk. It must not know attempts, nor who asks.

import ClusterProto
import Glibc

/// Readings; processor time counts from some beginning, so only differences mean something.
package enum UsageReader {
  private static let ticksPerSecond = Int64(max(1, sysconf(Int32(_SC_CLK_TCK))))
  /// Of a pod without a cgroup so many processes are read: reading holds the keeper up.
  private static let most = 2_000
  private static let pageSize = Int64(max(1, sysconf(Int32(_SC_PAGESIZE))))

  /// The whole machine's; nil where /proc does not tell.
  package static func machine() -> Usage? {
    guard let stat = try? Files.read("/proc/stat", limit: 4_096) else { return nil }
    let line = String(decoding: stat.prefix { $0 != 10 }, as: UTF8.self)
    let times = line.split(separator: " ").dropFirst().compactMap { Int64($0) }
    guard times.count >= 8 else { return nil }
    // user, nice, system, then irq, softirq, steal: neither idle nor waiting for a disk.
    let busy = times[0...2].reduce(0, +) + times[5...7].reduce(0, +)
    guard let total = meminfo("MemTotal:"), let available = meminfo("MemAvailable:") else { return nil }
    return Usage(cpu: nanoseconds(ticks: busy), memory: max(0, total - available))
  }

  /// What the machine has left of memory (bytes) and of processes, with all of it; nil where /proc does not tell.
  package static func room() -> (memory: (available: Int64, total: Int64), processes: (available: Int64, total: Int64))?
  {
    guard let total = meminfo("MemTotal:"), let available = meminfo("MemAvailable:") else { return nil }
    func number(_ path: String) -> Int64? { (try? Files.readLine(path)).flatMap { Int64($0) } }
    let most = [number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max")].compactMap { $0 }.min()
    // `0.00 0.01 0.05 2/123 4567`: of 123 processes and threads two run.
    let counted = ((try? Files.readLine("/proc/loadavg")) ?? "").split(separator: " ").dropFirst(3).first
    guard let most, let all = counted?.split(separator: "/").last.flatMap({ Int64($0) }) else { return nil }
    return ((available, total), (max(0, most - all), most))
  }

  private static func meminfo(_ name: String) -> Int64? {
    guard let text = try? Files.readLine("/proc/meminfo") else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
    return line?.split(separator: " ").dropFirst().first.flatMap { Int64($0) }.map { $0 * 1_024 }
  }

  /// What each of a pod's running containers uses, and how many processes they have together. `containers`: slot → id
  /// of the first process inside the pod.
  package static func pod(
    _ process: PodProcess, limited: LimitedPod?, containers: [Int: Int32]
  ) -> (slots: [Int: Usage], processes: Int64) {
    guard let initial = process.identity?.pid else { return ([:], 0) }
    let processes = pids(of: process, limited, initial).compactMap { ProcessReading($0) }
    var result: [Int: Usage] = [:]
    let slots = places(processes, containers)
    for slot in containers.keys {
      var usage = Usage(cpu: 0, memory: 0)
      for (reading, place) in zip(processes, slots) where place == slot {
        usage.cpu += nanoseconds(ticks: reading.ticks)
        usage.memory += reading.pages * pageSize
      }
      result[slot] = usage
    }
    // The cgroup's own account has what ended processes used, too.
    if containers.count == 1, let slot = containers.keys.first, let cgroup = process.cgroup,
      let used = CgroupFiles.number("usage_usec", in: "\(cgroup.path)/cpu.stat")
    {
      result[slot]?.cpu = used * 1_000
    }
    for slot in containers.keys.sorted() {
      if let used = limited?.cpuMicroseconds(slot: slot) { result[slot]?.cpu = used * 1_000 }
      if let bytes = limited?.memoryInUse(slot: slot) { result[slot]?.memory = bytes }
    }
    return (result, Int64(processes.count))
  }

  private static func pids(of process: PodProcess, _ limited: LimitedPod?, _ initial: Int32) -> [Int32] {
    guard let cgroup = process.cgroup else { return descendants(of: initial) }
    let all = ([cgroup.path] + (limited?.inner ?? [])).flatMap { path in
      ((try? Files.readLine("\(path)/cgroup.procs")) ?? "").split(separator: "\n").compactMap { Int32($0) }
    }
    return all.filter { $0 != initial }
  }

  /// Every process of a pod descends from its init. A child is its thread's.
  private static func descendants(of initial: Int32) -> [Int32] {
    var found: [Int32] = []
    var rest = [initial]
    while let pid = rest.popLast(), found.count < most {
      for thread in (try? Files.list("/proc/\(pid)/task")) ?? [] {
        let children = (try? Files.readLine("/proc/\(pid)/task/\(thread)/children")) ?? ""
        rest += children.split(separator: " ").compactMap { Int32($0) }
      }
      if pid != initial { found.append(pid) }
    }
    return found
  }

  /// The slot of each process: its container has a mount namespace of its own.
  private static func places(_ processes: [ProcessReading], _ containers: [Int: Int32]) -> [Int?] {
    if containers.count == 1, let only = containers.keys.first { return processes.map { _ in only } }
    var slots: [UInt64: Int] = [:]
    let spaces = processes.map(\.mountNamespace)
    for (process, space) in zip(processes, spaces) {
      guard let inside = process.idInPod, let slot = containers.first(where: { $0.value == inside })?.key else {
        continue
      }
      if let space { slots[space] = slot }
    }
    return spaces.map { $0.flatMap { slots[$0] } }
  }

  private static func nanoseconds(ticks: Int64) -> Int64 { ticks * (1_000_000_000 / ticksPerSecond) }
}

/// One process as /proc shows it.
private struct ProcessReading {
  let pid: Int32
  /// Of itself and of the children that it has waited for.
  let ticks: Int64
  let pages: Int64

  init?(_ pid: Int32) {
    guard let text = try? Files.readLine("/proc/\(pid)/stat"), let end = text.utf8.lastIndex(of: 0x29) else {
      return nil
    }
    // The third field follows the command's name, which may hold anything.
    let fields = text[end...].split(separator: " ").dropFirst().map { Int64($0) ?? 0 }
    guard fields.count > 21 else { return nil }
    self.pid = pid
    ticks = fields[11] + fields[12] + fields[13] + fields[14]
    pages = fields[21]
  }

  var mountNamespace: UInt64? {
    var facts = stat()
    return stat("/proc/\(pid)/ns/mnt", &facts) == 0 ? UInt64(facts.st_ino) : nil
  }

  /// Its id in the namespace below ours, which is its pod's.
  var idInPod: Int32? {
    let lines = (try? Files.readLine("/proc/\(pid)/status"))?.split(separator: "\n")
    let ids = lines?.first { $0.hasPrefix("NSpid:") }?.split(whereSeparator: { $0 == "\t" || $0 == " " })
    guard let ids, ids.count > 2 else { return nil }
    return Int32(ids[2])
  }
}
