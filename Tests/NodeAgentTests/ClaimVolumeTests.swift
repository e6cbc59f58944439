// Owns: tests of the volumes behind claims on a node: directories that outlive pods, what must not be made or removed,
// and shares, with a mount program of the test's own.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite("Volumes of claims on a node", .enabled(if: isRoot, "needs root")) struct ClaimVolumeTests {
  private func assignment(_ attempt: AttemptNumber, _ source: JSON?, group: Int64? = nil) -> Assignment {
    var spec = pod(
      shell("main", "true"), volumes: [["name": "v", "persistentVolumeClaim": ["claimName": "c"]]])
    if let group { spec["securityContext"] = ["fsGroup": .int(group)] }
    var references = JSONObject()
    references["volumes/v"] = source
    return Assignment(
      attempt: attempt, keeper: "k", session: "s", namespace: "default", podName: "p", podUID: "u", labels: [:],
      annotations: [:], spec: PodSpec(json: spec), references: references, tolerationMilliseconds: nil)
  }

  private func make(_ assignment: Assignment, _ paths: NodePaths) throws(VolumeError) -> String? {
    try Volumes.make(assignment, paths: paths, place: testPlace(assignment, paths))["v"]
  }

  private let new: JSON = ["volume": "pvc-1", "stored": true, "make": true]
  private let old: JSON = ["volume": "pvc-1", "stored": true, "make": false]

  @Test("a claim that is not bound, or whose volume this version does not know, holds the pod up") func unbound() throws
  {
    let paths = NodePaths(data: try Scratch().path)
    for source in [nil, ["volume": "x", "tape": [:]], ["volume": "../x", "stored": true, "make": true]] as [JSON?] {
      let error = #expect(throws: VolumeError.self) { _ = try make(assignment(1, source), paths) }
      #expect(error?.message == "MountVolume.SetUp failed for volume \"v\" : its PersistentVolumeClaim is not bound")
      #expect(error?.retryable == true)
    }
  }

  @Test("a directory is made for the first pod; one that was there and is missing is an error, not an empty one")
  func directory() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let error = #expect(throws: VolumeError.self) { _ = try make(assignment(1, old), paths) }
    #expect(error?.message.contains("is not on this node any more") == true)
    #expect(!Files.exists("\(paths.claims)/pvc-1"))
    let path = try #require(try make(assignment(1, new), paths))
    #expect(path == "\(paths.claims)/pvc-1")
    #expect(try Files.status(path).mode & 0o7777 == 0o777)
    try Files.writeAtomically("\(path)/kept", [1])
    #expect(try make(assignment(2, old), paths) == path)
    #expect(Files.exists("\(path)/kept"))
  }

  @Test("a pod's fsGroup gets the directory and not what other pods have in it; no link is followed") func group()
    throws
  {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let path = try #require(try make(assignment(1, new), paths))
    try Files.writeAtomically("\(scratch.path)/secret", [1], mode: 0o600)
    #expect(symlink("\(scratch.path)/secret", "\(path)/link") == 0)
    _ = try make(assignment(2, old, group: 4_242), paths)
    var facts = stat()
    #expect(stat(path, &facts) == 0 && facts.st_gid == 4_242 && facts.st_mode & 0o2777 == 0o2777)
    #expect(stat("\(scratch.path)/secret", &facts) == 0 && facts.st_gid != 4_242 && facts.st_mode & 0o777 == 0o600)
    // A link in the place of the directory is no directory.
    #expect(symlink(scratch.path, "\(paths.claims)/pvc-2") == 0)
    #expect(throws: VolumeError.self) {
      _ = try make(assignment(3, ["volume": "pvc-2", "stored": true, "make": false]), paths)
    }
  }

  @Test("what is removed is the volume's directory alone, whatever its pods have made in it") func removal() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let path = try #require(try make(assignment(1, new), paths))
    try Files.makeDirectory("\(scratch.path)/outside")
    try Files.writeAtomically("\(scratch.path)/outside/kept", [1])
    #expect(symlink("\(scratch.path)/outside", "\(path)/link") == 0)
    let volumes = ClaimVolumes(paths: paths, user: nil)
    let (gone, failed) = volumes.remove(["pvc-1", "never-there", "../outside", "", "."])
    #expect(gone == ["pvc-1", "never-there"])
    #expect(failed.map(\.volume) == ["../outside", "", "."])
    #expect(Files.exists("\(scratch.path)/outside/kept") && !Files.exists(path))
  }

  @Test("a volume whose directory a pod has marked as immutable is removed too", .enabled(if: isRoot))
  func markedRemoval() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path)
    let path = try #require(try make(assignment(1, new), paths))
    try Files.writeAtomically("\(path)/file", [1])
    // Where there is no chattr, or the file system has no marks, it is a directory as any other.
    _ = try run("/usr/bin/env", "chattr", "+i", "\(path)/file", path)
    let (gone, failed) = ClaimVolumes(paths: paths, user: nil).remove(["pvc-1"])
    #expect(gone == ["pvc-1"] && failed.isEmpty)
    #expect(try Files.list(paths.claims) == [])
  }

  @Test("a hostPath volume is found as a pod's own hostPath is") func hostPath() throws {
    let scratch = try Scratch()
    let paths = NodePaths(data: scratch.path + "/data")
    let there: JSON = ["volume": "v", "hostPath": ["path": .string(scratch.path), "type": "Directory"]]
    #expect(try make(assignment(1, there), paths) == scratch.path)
    let missing: JSON = ["volume": "v", "hostPath": ["path": "/nonexistent/x", "type": "Directory"]]
    let error = #expect(throws: VolumeError.self) { _ = try make(assignment(1, missing), paths) }
    #expect(error?.message.contains("hostPath type check failed: /nonexistent/x is not a directory") == true)
  }

  // MARK: Shares

  private func share(_ options: JSON = .null) -> JSON {
    ["volume": "nfs-1", "nfs": ["server": "10.0.0.9", "path": "/export", "readOnly": true], "options": options]
  }

  private func shares(_ scratch: Scratch, _ script: String) throws -> Shares {
    let program = "\(scratch.path)/mount"
    try Files.writeAtomically(program, Array("#!/bin/sh\n\(script)\n".utf8), mode: 0o755)
    var shares = Shares(paths: NodePaths(data: "\(scratch.path)/data"))
    shares.program = program
    return shares
  }

  private func network(_ options: JSON = .null) throws -> NetworkShare {
    guard case .share(let found)? = ClaimSource(assignment(1, share(options)), volume: "v") else {
      throw IOError(operation: "read", subject: "share", message: "is none")
    }
    return found
  }

  @Test("a share needs root and the system's mount program, and says which of them lacks") func lacking() throws {
    let scratch = try Scratch()
    var shares = try shares(scratch, "true")
    shares.program = "/nonexistent/mount.nfs"
    let missing = #expect(throws: VolumeError.self) { _ = try shares.mount(try network(), "v", for: 1) }
    #expect(missing?.message.contains("install nfs-common") == true)
    shares.mayMount = false
    let mortal = #expect(throws: VolumeError.self) { _ = try shares.mount(try network(), "v", for: 1) }
    #expect(
      mortal?.message.contains("10.0.0.9:/export is a share of NFS, and this node's agent does not run as root") == true
    )
  }

  @Test("what the mount program says is the pod's message, and one that hangs is given up") func failing() throws {
    let scratch = try Scratch()
    let failing = try shares(scratch, "echo 'mount.nfs: Connection refused' >&2; exit 32")
    let error = #expect(throws: VolumeError.self) { _ = try failing.mount(try network(), "v", for: 1) }
    #expect(error?.message.contains("mount.nfs: Connection refused") == true)
    #expect(!Files.exists("\(failing.paths.shares)/nfs-1"), "nothing is left of it")
    var hanging = try shares(scratch, "exec sleep 60")
    hanging.patienceMilliseconds = 50
    let late = #expect(throws: VolumeError.self) { _ = try hanging.mount(try network(), "v", for: 2) }
    #expect(late?.message.contains("signal 9") == true, "\(late?.message ?? "")")
  }

  @Test("a share is mounted once, with its options, and goes with the last pod that uses it") func mounted() throws {
    let scratch = try Scratch()
    let shares = try shares(
      scratch, "echo \"$@\" >> \(scratch.path)/calls; exec /bin/mount -t tmpfs none \"$2\"")
    let place = try shares.mount(try network(["vers=4.2", "soft"]), "v", for: 1)
    defer { umount2(place, Int32(MNT_DETACH)) }
    #expect(try shares.mount(try network(), "v", for: 2) == place)
    #expect(text("\(scratch.path)/calls") == "10.0.0.9:/export \(place) -o vers=4.2,soft,ro\n")
    try Files.writeAtomically("\(place)/data", [1])
    shares.release(1)
    #expect(Files.exists("\(place)/data"))
    shares.releaseExcept([2])
    #expect(Files.exists("\(place)/data"))
    shares.releaseExcept([])
    #expect(!Files.exists(place))
  }
}
