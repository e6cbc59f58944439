// What a pod of --pod-user reaches of the host by hostPath: what its user reaches, and nothing by root's rights.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import NodeAgent
import Testing

@testable import NodeAgent

@Suite("hostPath under --pod-user", .enabled(if: isRoot, "needs root"))
struct HostPathUserTests {
  /// A keeper for nobody's pods beside a directory of the host, in which `open` is everybody's to read, `nobody` the
  /// user's own, `group` its group's, and `closed` root's, with open things inside.
  private struct Host {
    let keeper: TestKeeper
    let path: String

    init() throws {
      keeper = try TestKeeper(KeeperSetting(podUser: "nobody"))
      chmod(keeper.scratch.path, 0o755)
      path = "\(keeper.scratch.path)/host"
      for (name, mode, user, group) in [
        ("", 0o755, 0, 0), ("open", 0o755, 0, 0), ("nobody", 0o700, 65534, 65534), ("group", 0o750, 0, 65534),
        ("closed", 0o700, 0, 0), ("closed/open", 0o755, 0, 0),
      ] as [(String, mode_t, uid_t, gid_t)] {
        try Files.makeDirectory("\(path)/\(name)")
        chmod("\(path)/\(name)", mode)
        chown("\(path)/\(name)", user, group)
        if !name.isEmpty { try Files.writeAtomically("\(path)/\(name)/word", Array("\(name)\n".utf8), mode: 0o644) }
      }
    }

    /// A pod that mounts `below` of the host's directory and runs `script` at it.
    func assignment(
      _ attempt: AttemptNumber, _ below: String, type: String = "", subPath: String? = nil, more: JSON = [:],
      _ script: String
    ) -> Assignment {
      var mount: JSON = ["name": "h", "mountPath": "/mnt"]
      if let subPath { mount["subPath"] = .string(subPath) }
      return keeper.assignment(
        attempt,
        pod(
          shell("main", script, mounts: [mount], more: more),
          volumes: [["name": "h", "hostPath": ["path": .string("\(path)/\(below)"), "type": .string(type)]]]))
    }

    /// Why the pod's volumes are not made; nil: they are.
    func refusal(_ below: String, type: String = "") throws -> String? {
      do {
        try keeper.start(assignment(1, below, type: type, "true"))
        return nil
      } catch let error as VolumeError {
        return error.message.replacing("MountVolume.SetUp failed for volume \"h\" : ", with: "")
          .replacing(path, with: "HOST")
      }
    }
  }

  @Test("what the user may read is mounted, by its own right and by its group's")
  func readable() throws {
    let host = try Host()
    for (index, name) in ["open", "nobody", "group"].enumerated() {
      let (status, log) = try host.keeper.finish(host.assignment(AttemptNumber(index + 1), name, "cat /mnt/word"))
      #expect(status?.phase == .succeeded)
      #expect(log == "\(name)\n")
    }
  }

  @Test(
    "below a directory that is closed to the user nothing is mounted, however open it is itself",
    arguments: ["closed/open", "closed/open/word", "closed/word", "closed/none"])
  func closed(below: String) throws {
    #expect(
      try Host().refusal(below) == "hostPath HOST/\(below) is closed to the user that pods run as here (--pod-user)")
  }

  @Test("no link of /proc leads into a closed directory: not to what is there, and nothing is made there")
  func processLinks() throws {
    let host = try Host()
    try Files.makeDirectory("\(host.path)/closed/open/nobody")
    chown("\(host.path)/closed/open/nobody", 65534, 65534)
    let words: [String] = ["sh", "-c", "cd \(host.path)/closed/open && exec sleep 600"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let failure = posix_spawn(&process, "/bin/sh", nil, nil, &arguments, environ)
    try #require(failure == 0)
    defer {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    let stands = eventually { Files.exists("/proc/\(process)/cwd/nobody") }
    try #require(stands)
    func refusal(_ path: String, _ type: String) throws -> String? {
      let spec = pod(
        shell("main", "true", mounts: [["name": "h", "mountPath": "/mnt"]]),
        volumes: [["name": "h", "hostPath": ["path": .string(path), "type": .string(type)]]])
      do {
        try host.keeper.start(host.keeper.assignment(1, spec))
        return nil
      } catch let error as VolumeError {
        return error.message
      }
    }
    for (below, type) in [("", ""), ("/word", "File"), ("/nobody/new", "DirectoryOrCreate"), ("/none", "")] {
      let path = "/proc/\(process)/cwd\(below)"
      #expect(
        try refusal(path, type)
          == "MountVolume.SetUp failed for volume \"h\" : hostPath \(path) leads through a link of "
          + "/proc to what it does not name")
    }
    #expect(try Files.list("\(host.path)/closed/open/nobody").isEmpty)
  }

  @Test("a closed directory itself can be mounted, and not be read")
  func closedItself() throws {
    let host = try Host()
    let (status, log) = try host.keeper.finish(host.assignment(1, "closed", "ls /mnt; cat /mnt/word"))
    #expect(status?.phase == .failed)
    #expect(!log.contains("closed\n") && log.contains("Permission denied"), "\(log)")
  }

  @Test(
    "what is made for a hostPath is made with the user's rights, and is the user's",
    arguments: ["DirectoryOrCreate", "FileOrCreate"])
  func made(type: String) throws {
    let host = try Host()
    let refusal = try #require(try host.refusal("open/new", type: type))
    #expect(refusal.contains("HOST/open/new") && refusal.contains("Permission denied"), "\(refusal)")
    #expect(!Files.exists("\(host.path)/open/new"))
    #expect(try host.refusal("nobody/new", type: type) == nil)
    var facts = stat()
    #expect(stat("\(host.path)/nobody/new", &facts) == 0)
    #expect(facts.st_uid == 65534 && facts.st_gid == 65534)
    // The thread has its own rights again.
    #expect(geteuid() == 0 && Files.exists("\(host.path)/closed/open/word"))
  }

  @Test("a missing subPath and a missing working directory are made with the user's rights as well")
  func subPath() throws {
    let host = try Host()
    let (_, log) = try host.keeper.finish(host.assignment(1, "nobody", subPath: "a/b", "stat -c %u /mnt"))
    #expect(log == "65534\n")
    try host.keeper.start(host.assignment(2, "open", subPath: "a/b", "true"))
    #expect(host.keeper.waitForEnd(2)?.phase == .failed)
    try host.keeper.start(host.assignment(3, "open", more: ["workingDir": "/mnt/made"], "true"))
    #expect(host.keeper.waitForEnd(3)?.phase == .failed)
    #expect(try Files.list("\(host.path)/open") == ["word"])
  }

  @Test("a path that is led elsewhere after it was looked at reaches nothing more")
  func swapped() throws {
    let host = try Host()
    try Files.makeDirectory("\(host.path)/nobody/volume")
    chown("\(host.path)/nobody/volume", 65534, 65534)
    try host.keeper.start(host.assignment(1, "nobody/volume", "cat /mnt/word")) {
      rmdir("\(host.path)/nobody/volume")
      symlink("\(host.path)/closed/open", "\(host.path)/nobody/volume")
    }
    let status = host.keeper.waitForEnd(1)
    #expect(status?.phase == .failed)
    #expect(host.keeper.log(1) == "")
  }

  @Test("the agent's own directory is no hostPath for them, open or not")
  func ownDirectory() throws {
    let host = try Host()
    chmod(host.keeper.data, 0o755)
    for path in [host.keeper.data, "\(host.keeper.data)/pods/1/volumes/e"] {
      let spec = pod(shell("main", "true"), volumes: [["name": "h", "hostPath": ["path": .string(path)]]])
      let error = #expect(throws: VolumeError.self) { try host.keeper.start(host.keeper.assignment(1, spec)) }
      #expect(error?.message.hasSuffix("hostPath \(path) is in the agent's data directory") == true)
      #expect(error?.retryable == false)
    }
  }
}
