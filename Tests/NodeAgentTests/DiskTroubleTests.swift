// What a node's disk does not give or take: a start says so, a removal is tried again.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite("A disk's refusals are told and tried again")
struct DiskTroubleTests {
  @Test("a termination message's file that cannot be made fails the container's start, and names the path")
  func terminationFile() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let files = try TerminationFiles(paths)
    let container = PodPlan.Container(
      name: "main", image: "", arguments: ["true"], environment: [], workingDirectory: "/", mounts: [],
      isSidecar: false, terminationMessagePath: "/usr/message", fallsBackToLogs: false)
    try Files.removeTree(paths.messages)
    while files.spare(for: container) != nil {}
    #expect {
      try files.take(for: container)
    } throws: { error in
      let text = (error as? IOError)?.description ?? ""
      return text.hasPrefix("make the termination message's file \(paths.messages)/") && text.contains("No such file")
    }
    var unwanted = container
    unwanted.terminationMessagePath = ""
    #expect(try files.take(for: unwanted) == nil)
  }

  @Test("volumes that could not be removed are removed with the next ones", .enabled(if: isRoot))
  func cleanUp() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let busy = "\(paths.pod(1))/volumes/v/busy"
    for path in [busy, "\(paths.pod(2))/volumes", "\(paths.pod(3))/volumes"] { try Files.makeDirectory(path) }
    guard try run("/bin/mount", "-t", "tmpfs", "tmpfs", busy) else { return }
    defer { umount(busy) }
    let worker = try PreparationWorker(
      paths: paths, node: "n", address: "127.0.0.1",
      capacity: NodeCapacity(cpuMillicores: 1_000, memoryBytes: 1 << 30, pods: 1))
    worker.cleanUp(1)
    #expect(eventually { !Files.exists("\(paths.pod(1))/volumes/other") })
    worker.cleanUp(2)
    #expect(eventually { !Files.exists(paths.pod(2)) })
    #expect(Files.exists(busy))
    umount(busy)
    worker.cleanUp(3)
    #expect(eventually { !Files.exists(paths.pod(3)) && !Files.exists(paths.pod(1)) })
    worker.stop()
  }
}
