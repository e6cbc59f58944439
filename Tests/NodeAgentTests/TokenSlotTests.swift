// The directories of pods' tokens: one pod after the other, never two at once, whoever made them.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import NodeAgent

@Suite("Directories of tokens are used again")
struct TokenSlotTests {
  private func inDirectory(_ body: (String) throws -> Void) throws {
    let path = "/tmp/stint-slots-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    defer { try? Files.removeTree(path) }
    try body(path)
  }

  private func read(_ path: String, _ name: String) throws -> String {
    String(decoding: try Files.read("\(path)/\(name)"), as: UTF8.self)
  }

  @Test("who lives has its own; who comes after has the directory and nothing that was in it")
  func reuse() throws {
    try inDirectory { directory in
      let slots = try TokenSlots(directory: directory)
      let first = try slots.take(1, token: "long token of one", authority: "CA", namespace: "default")
      let second = try slots.take(2, token: "two", authority: "CA", namespace: "default")
      #expect(first != second)
      #expect(try slots.take(1, token: "again", authority: "CA", namespace: "default") == first)
      slots.giveBack(1)
      #expect(slots.path(of: 1) == nil && slots.path(of: 2) == second)
      let third = try slots.take(3, token: "3", authority: "other CA", namespace: "ns")
      #expect(third == first)
      #expect(try read(third, "token") == "3")
      #expect(try read(third, "ca.crt") == "other CA" && read(third, "namespace") == "ns")
      #expect(try read(second, "token") == "two")
      #expect(try Files.list(third) == ["ca.crt", "namespace", "token"])
      #expect(try Files.status("\(third)/token").mode & 0o777 == 0o644)
    }
  }

  @Test("network files are written into those of the pod before, unless they are another namespace's or were changed")
  func network() throws {
    try inDirectory { directory in
      let slots = try TokenSlots(directory: directory)
      var inodes: [[UInt64]] = []
      var attempt: AttemptNumber = 0
      // Held open: the number of a file that is gone is the next one's else, now and then.
      var held: [Int32] = []
      defer { for descriptor in held { close(descriptor) } }
      func write(_ namespace: String, _ change: (String) -> Void = { _ in }) throws {
        attempt += 1
        let keeper = try TestKeeper()
        let pod = keeper.assignment(attempt, ["containers": [["name": "main", "image": "i"]]])
        #expect(try !slots.writeNetwork(attempt, namespace: namespace) { (_, _) in })
        #expect(slots.networkPath(of: attempt) == nil)
        _ = try slots.take(attempt, token: "t", authority: "CA", namespace: namespace)
        let isWritten = try slots.writeNetwork(attempt, namespace: namespace) { (path, isKnown) throws(IOError) in
          try NetworkFileWriter.write(pod, address: "10.0.0.\(attempt)", into: path, isKnown: isKnown)
        }
        #expect(isWritten)
        let path = try #require(slots.networkPath(of: attempt))
        let resolver = String(decoding: try Files.read("/etc/resolv.conf"), as: UTF8.self)
        let texts = NetworkFiles.texts(pod, address: "10.0.0.\(attempt)", resolver: resolver)
        for name in NetworkFiles.names {
          #expect(try read(path, name) == texts[name])
          let facts = try Files.status("\(path)/\(name)")
          #expect(facts.mode & 0o7777 == 0o644 && facts.userID == geteuid())
        }
        inodes.append(try NetworkFiles.names.map { try Files.status("\(path)/\($0)").inode })
        held += NetworkFiles.names.map { open("\(path)/\($0)", O_RDONLY | O_CLOEXEC) }
        change(path)
        slots.giveBack(attempt)
        #expect(slots.networkPath(of: attempt) == nil)
      }
      try write("one")
      try write("one") { path in
        chmod("\(path)/hosts", 0o777)
        rename("\(path)/hostname", "\(path)/other")
        symlink("/etc/passwd", "\(path)/hostname")
        try? Files.writeAtomically("\(path)/resolv.conf", Array("nameserver 6.6.6.6\n".utf8), mode: 0o644)
      }
      #expect(inodes[0] == inodes[1])
      try write("one")
      #expect(zip(inodes[1], inodes[2]).allSatisfy { $0 != $1 })
      try write("two")
      try write("two")
      #expect(inodes[3] == inodes[4])
      // The next agent does not know whose they are.
      let again = try TokenSlots(directory: directory)
      _ = try again.take(99, token: "t", authority: "CA", namespace: "two")
      #expect(again.networkPath(of: 99) == nil)
      _ = try again.writeNetwork(99, namespace: "two") { (_, isKnown) in #expect(!isKnown) }
    }
  }

  @Test("the next agent leaves what running pods have, and takes what nobody has")
  func restart() throws {
    try inDirectory { directory in
      let path = try TokenSlots(directory: directory).take(7, token: "t", authority: "CA", namespace: "default")
      let slots = try TokenSlots(directory: directory)
      #expect(slots.owners == [7] && slots.path(of: 7) == path)
      #expect(try slots.take(8, token: "8", authority: "CA", namespace: "default") != path)
      slots.giveBack(7)
      #expect(try slots.take(9, token: "9", authority: "CA", namespace: "default") == path)
      #expect(try read(path, "token") == "9")
    }
  }

  @Test("pods that run are told of another authority; what nobody has is written by who takes it next")
  func anotherAuthority() throws {
    try inDirectory { directory in
      let slots = try TokenSlots(directory: directory)
      let first = try slots.take(1, token: "1", authority: "old", namespace: "default")
      let free = try slots.take(2, token: "2", authority: "old", namespace: "default")
      slots.giveBack(2)
      slots.setAuthority(Array("new and old".utf8))
      #expect(try read(first, "ca.crt") == "new and old" && read(first, "token") == "1")
      #expect(try read(free, "ca.crt") == "old")
      #expect(try Files.status("\(first)/ca.crt").mode & 0o777 == 0o644)
      #expect(try slots.take(3, token: "3", authority: "new", namespace: "default") == free)
      #expect(try read(free, "ca.crt") == "new")
      // Whoever was started by an agent before this one.
      let again = try TokenSlots(directory: directory)
      again.setAuthority(Array("new".utf8))
      for path in [first, free] { #expect(try read(path, "ca.crt") == "new") }
    }
  }

  private func spec(_ mounts: JSON, message: String? = nil) -> PodSpec {
    var container: JSON = ["name": "c", "image": "i", "volumeMounts": mounts]
    if let message { container["terminationMessagePath"] = .string(message) }
    return PodSpec(json: ["containers": [container], "volumes": [PodToken.usualVolumeSpec]])
  }

  @Test("only the volume that admission adds is served so")
  func own() {
    let usual: JSON = ["name": .string(PodToken.usualVolume), "mountPath": .string(PodToken.usualPath)]
    let plain = spec([usual])
    #expect(TokenSlots.serves(VolumeSpec(json: PodToken.usualVolumeSpec), of: plain))
    var other = PodToken.usualVolumeSpec
    other[path: ["projected", "defaultMode"]] = 256
    #expect(!TokenSlots.serves(VolumeSpec(json: other), of: plain))
    #expect(!TokenSlots.serves(VolumeSpec(json: ["name": .string(PodToken.usualVolume), "emptyDir": [:]]), of: plain))
  }

  @Test("a pod that mounts something in its token's volume has one of its own: the next would find the mount point")
  func nested() {
    let volume = VolumeSpec(json: PodToken.usualVolumeSpec)
    let usual: JSON = ["name": .string(PodToken.usualVolume), "mountPath": .string(PodToken.usualPath + "/")]
    for path in ["/x", "//./x/y"] {
      let inner: JSON = ["name": "other", "mountPath": .string(PodToken.usualPath + path)]
      #expect(!TokenSlots.serves(volume, of: spec([usual, inner])))
    }
    #expect(!TokenSlots.serves(volume, of: spec([usual], message: PodToken.usualPath + "/message")))
    #expect(TokenSlots.serves(volume, of: spec([usual, ["name": "other", "mountPath": "/var/run/secrets"]])))
  }
}
