// Owns: the cgroups that hold pods and their containers to limits, in whichever version the machine has: made for a pod
// that has limits, removed with it. It must not know where limits come from or what becomes of a container.

import CLinux
import ClusterProto
import Glibc

/// What one keeper can bound, and below which directories.
package final class LimitPool {
  /// For the node's condition.
  package let abilities: LimitAbilities
  private let roots: [CgroupController: String]
  private var made = 0
  /// Directories that were not empty yet when their pod was gone.
  private var unremoved: [String] = []
  private static let noRoot = "the agent is not root"
  private static let notUsed = "pods are not in cgroups of their own here"

  /// Makes a directory `name` in every hierarchy that has one of the controllers: v2 where it has any, else v1.
  /// `isUsed`: whether pods are started by this process itself; else they are out of reach.
  package convenience init(name: String, isUsed: Bool) {
    var abilities = LimitAbilities()
    var roots: [CgroupController: String] = [:]
    if isUsed, geteuid() == 0, let own = try? CgroupPool.directoryName(name) {
      if let (directory, controllers) = CgroupPlaces.delegated() {
        abilities.version = 2
        roots = Self.unified("\(directory)/\(own)", controllers, &abilities.problem)
      } else {
        abilities.version = 1
        roots = Self.legacy(own, &abilities.problem)
      }
    } else {
      abilities.problem = geteuid() == 0 ? Self.notUsed : Self.noRoot
    }
    self.init(abilities: abilities, roots: roots)
  }

  private static func unified(
    _ path: String, _ controllers: Set<CgroupController>, _ problem: inout String
  ) -> [CgroupController: String] {
    if mkdir(path, 0o755) == 0 || errno == EEXIST, CgroupPlaces.hands(controllers, onFrom: path) {
      return Dictionary(uniqueKeysWithValues: controllers.map { ($0, path) })
    }
    problem = "\(path) cannot be made: \(IOError.text(errno))"
    rmdir(path)
    return [:]
  }

  private static func legacy(_ name: String, _ problem: inout String) -> [CgroupController: String] {
    var roots: [CgroupController: String] = [:]
    for controller in CgroupController.allCases {
      guard let directory = CgroupPlaces.legacy(controller) else { continue }
      let path = "\(directory)/\(name)"
      if mkdir(path, 0o755) == 0 || errno == EEXIST {
        roots[controller] = path
      } else {
        problem = "\(path) cannot be made: \(IOError.text(errno))"
      }
    }
    return roots
  }

  /// `roots`: directories that are there.
  init(abilities: LimitAbilities, roots: [CgroupController: String]) {
    var abilities = abilities
    abilities.cpu = roots[.cpu] != nil
    abilities.memory = roots[.memory] != nil
    abilities.pids = roots[.pids] != nil
    if roots.isEmpty { abilities.version = 0 }
    if !abilities.isWhole, abilities.problem.isEmpty {
      abilities.problem = "this machine hands no such controller to the agent's cgroup"
    }
    self.abilities = abilities
    self.roots = roots
  }

  /// Whether the pool bounds any of it: else a pod needs no cgroup of it.
  package func bounds(_ limits: ResourceLimits) -> Bool { !controllers(limits).isEmpty }

  private func controllers(_ limits: ResourceLimits) -> Set<CgroupController> {
    let entries = LimitFiles.entries(limits, version: abilities.version, isContainer: false)
    return Set(entries.map(\.controller)).intersection(roots.keys)
  }

  /// A pod's cgroups, with these limits for all its containers together. `containers`: what single ones are held to,
  /// which says what hierarchies are needed.
  package func take(_ limits: ResourceLimits, containers: [ResourceLimits]) throws(IOError) -> LimitedPod {
    clearUnremoved()
    made += 1
    let needed = containers.reduce(controllers(limits)) { $0.union(controllers($1)) }
    var directories: [CgroupController: String] = [:]
    for controller in needed { directories[controller] = roots[controller].map { "\($0)/pod-\(made)" } }
    return try LimitedPod(version: abilities.version, directories: directories, limits)
  }

  /// Removes the cgroups of a pod that is gone.
  package func giveBack(_ pod: LimitedPod) { unremoved += pod.remove() }

  private func clearUnremoved() {
    unremoved = unremoved.filter { rmdir($0) != 0 && errno == EBUSY }
  }

  /// Removes all empty cgroups of the pool, at the end of the keeper.
  package func remove() {
    clearUnremoved()
    for root in Set(roots.values) { CgroupPool.removeEmpty(root) }
  }

  /// Removes what killed owners of pools left; as `CgroupPool.removeRemains`.
  package static func removeRemains() {
    for directory in places() { CgroupPool.removeRemains(in: directory) }
  }

  /// All directories in which a process of this one's cgroups may have made pools, of either kind.
  package static func places() -> [String] {
    CgroupPlaces.unifiedCandidates() + CgroupController.allCases.compactMap { CgroupPlaces.legacy($0) }
  }
}

/// One pod's cgroups.
package final class LimitedPod {
  /// In version 2 the pod is started in it and frozen by it; nil: it may be in any.
  package let cgroup: PodCgroup?
  private let version: Int64
  /// By controller; in version 2 all the same.
  private let directories: [CgroupController: String]
  private var containers: Set<Int> = []
  /// What the kernel had counted before the present run of a container: a directory that could not be removed yet, as
  /// a process that was reaped had not left it, is used again.
  private var killsBefore: [Int: Int64] = [:]

  fileprivate init(
    version: Int64, directories: [CgroupController: String], _ limits: ResourceLimits
  ) throws(IOError) {
    self.version = version
    self.directories = directories
    if version == 2, let path = directories.values.first {
      do throws(IOError) {
        cgroup = try PodCgroup(path: path, leaf: "init", handing: Set(directories.keys))
      } catch {
        for made in ["\(path)/init", path] { rmdir(made) }
        throw error
      }
    } else {
      cgroup = nil
    }
    do throws(IOError) {
      try make(directories, limits, isContainer: false)
    } catch {
      _ = remove()
      throw error
    }
  }

  /// Makes a container's cgroups, for its next run; the files by which its first process enters them. One without any
  /// of its own enters its pod's.
  package func enter(slot: Int, _ limits: ResourceLimits) throws(IOError) -> [String] {
    let inner = directories.mapValues { "\($0)/\(slot)" }
    containers.insert(slot)
    // The number of processes is the pod's: in version 1 it needs no directory of the container's.
    let own = version == 1 ? inner.filter { $0.key != .pids } : inner
    try make(own, limits, isContainer: true)
    killsBefore[slot] = countedKills(slot)
    let entered = Set(own.values).union(version == 1 ? directories[.pids].map { [$0] } ?? [] : [])
    return entered.sorted().map { "\($0)/cgroup.procs" }
  }

  /// How many processes of the container's present run the kernel has ended for want of memory.
  package func outOfMemoryKills(slot: Int) -> Int64 { countedKills(slot) - (killsBefore[slot] ?? 0) }

  private func countedKills(_ slot: Int) -> Int64 {
    guard let path = directories[.memory] else { return 0 }
    return CgroupFiles.number("oom_kill", in: "\(path)/\(slot)/\(LimitFiles.kills(version: version))") ?? 0
  }

  /// Directories below the pod's own, where version 2 keeps its processes.
  var inner: [String] {
    guard version == 2, let path = directories.values.first else { return [] }
    return containers.sorted().map { "\(path)/\($0)" }
  }

  /// Processor time that a container's present run has used; nil where that is not counted for it alone.
  func cpuMicroseconds(slot: Int) -> Int64? {
    guard version == 2, let path = directories.values.first else { return nil }
    return CgroupFiles.number("usage_usec", in: "\(path)/\(slot)/cpu.stat")
  }

  /// Memory that a container uses, without what was read and can be dropped; nil where that is not counted.
  func memoryInUse(slot: Int) -> Int64? {
    guard let path = directories[.memory].map({ "\($0)/\(slot)" }) else { return nil }
    let (file, word) =
      version == 2 ? ("memory.current", "inactive_file") : ("memory.usage_in_bytes", "total_inactive_file")
    guard let all = (try? Files.readLine("\(path)/\(file)")).flatMap({ Int64($0) }) else { return nil }
    return max(0, all - (CgroupFiles.number(word, in: "\(path)/memory.stat") ?? 0))
  }

  /// Removes a container's cgroups, once no process of it is left.
  package func leave(slot: Int) {
    for path in Set(directories.values) where rmdir("\(path)/\(slot)") != 0 && errno == EBUSY { return }
    containers.remove(slot)
  }

  /// Becomes readable when memory of the container ran out, before the kernel ends anything; -1 where version 2 makes
  /// that needless, or there is no such file.
  package func watchMemory(slot: Int) -> Int32 {
    guard version == 1, let path = directories[.memory] else { return -1 }
    let control = open("\(path)/\(slot)/memory.oom_control", O_RDONLY | O_CLOEXEC)
    guard control >= 0 else { return -1 }
    defer { close(control) }
    let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard descriptor >= 0 else { return -1 }
    if (try? CgroupFiles.write("\(path)/\(slot)/cgroup.event_control", "\(descriptor) \(control)")) != nil {
      return descriptor
    }
    close(descriptor)
    return -1
  }

  private func make(
    _ directories: [CgroupController: String], _ limits: ResourceLimits, isContainer: Bool
  ) throws(IOError) {
    for path in Set(directories.values).sorted() {
      guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw IOError.last("make cgroup", path) }
    }
    for entry in LimitFiles.entries(limits, version: version, isContainer: isContainer) {
      guard let path = directories[entry.controller] else { continue }
      do throws(IOError) {
        try CgroupFiles.write("\(path)/\(entry.file)", entry.text)
      } catch {
        if !entry.mayFail { throw error }
      }
    }
  }

  /// What could not be removed yet, inner ones first.
  fileprivate func remove() -> [String] {
    var left: [String] = []
    for path in Set(directories.values).sorted() {
      for inner in containers.sorted().map({ "\(path)/\($0)" }) + (version == 2 ? ["\(path)/init"] : []) + [path]
      where rmdir(inner) != 0 && errno == EBUSY { left.append(inner) }
    }
    return left
  }
}
