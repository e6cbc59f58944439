// Whose the files of a pod's Secrets and ConfigMaps are: the pod user's, so that a mode for the owner alone lets it
// read.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite("Files of Secrets under --pod-user", .enabled(if: isRoot, "needs root"))
struct OwnedFilesTests {
  @Test("with mode 0400 are read by the pod's user and by nobody else")
  func readable() throws {
    let keeper = try TestKeeper(KeeperSetting(podUser: "nobody"))
    let assignment = keeper.assignment(
      1,
      pod(
        shell(
          "main", "id -u; cat /s/key; stat -c %u:%a /s/key",
          mounts: [
            ["name": "s", "mountPath": "/s"]
          ]),
        volumes: [["name": "s", "secret": ["secretName": "s", "defaultMode": 256]]]),
      references: ["secrets/s": ["data": ["key": "cDRzcwo="]]])
    let (status, log) = try keeper.finish(assignment)
    #expect(status?.phase == .succeeded)
    #expect(log == "65534\np4ss\n65534:400\n")
  }

  @Test("a token that takes the former one's place is the same user's")
  func renewed() throws {
    let keeper = try TestKeeper(KeeperSetting(podUser: "nobody"))
    let directory = keeper.scratch.path
    try Files.makeDirectory("\(directory)/volumes/v")
    let path = "\(directory)/volumes/v/token"
    try Files.writeAtomically(path, Array("old".utf8), mode: 0o400)
    #expect(chown(path, 65534, 65534) == 0)
    let token = PodToken(volume: "v", path: "token", seconds: 600, content: .signed("new"))
    try Volumes.write(token, below: directory, usual: nil)
    var facts = stat()
    #expect(lstat(path, &facts) == 0)
    #expect(facts.st_uid == 65534 && facts.st_mode & 0o777 == 0o400)
    #expect(try Files.read(path) == Array("new".utf8))
  }
}
