// Owns: tests of files, hashes, signals and child processes, on the real ones.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite struct FileTests {
  @Test("a lock tells whether it is held, without taking it, and whether its path still leads to it")
  func lockLooks() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/lock"
    #expect(!FileLock.isHeld(path) && !Files.exists(path))
    let lock = try FileLock(path: path)
    #expect(FileLock.isHeld(path) && lock.isInPlace)
    #expect(rename(path, "\(scratch.path)/moved") == 0)
    #expect(!lock.isInPlace && FileLock.isHeld("\(scratch.path)/moved"))
    let next = try FileLock(path: path)
    #expect(!lock.isInPlace && next.isInPlace)
    next.release()
    #expect(!FileLock.isHeld(path))
  }

  @Test("a pipe, a device or a directory at a file's path is told at once, whoever reads it or writes to it")
  func otherThings() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/file"
    #expect(mkfifo(path, 0o600) == 0 && mkfifo("\(path).new", 0o600) == 0)
    let isPipe = "is no file, but a pipe"
    #expect(#expect(throws: IOError.self) { try Files.read(path) }?.message == isPipe)
    #expect(#expect(throws: IOError.self) { try AppendFile(path: path) }?.message == isPipe)
    #expect(#expect(throws: IOError.self) { try Files.writeAtomically(path, [1]) }?.message == isPipe)
    #expect(!FileLock.isHeld(path) && !Files.keepBlocks(path, 1))
    for device in ["/dev/zero", "/dev/full"] {
      for source in [Files.Source.file, .fileOrPipe] {
        let error = #expect(throws: IOError.self) { try Files.read(device, from: source) }
        #expect(error?.message == "is no file, but a device")
      }
    }
    #expect(try Files.read("/dev/null", from: .fileOrPipe) == [])
    #expect(throws: IOError(code: EFBIG, operation: "read", subject: "/dev/zero")) {
      try Files.read("/dev/zero", limit: 10_000, from: .anything)
    }
    #expect(throws: IOError(code: EISDIR, operation: "read", subject: scratch.path)) { try Files.read(scratch.path) }
    #expect(try !Files.read("/proc/self/mountinfo").isEmpty)
  }

  @Test("a pipe that is asked for is read to its end, also one whose writer waits for a reader; an empty one is told")
  func pipes() throws {
    let scratch = try Scratch()
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let (reading, writing) = (ends[0], ends[1])
    defer { close(reading) }
    try Files.writeAll(writing, Array("ab".utf8), path: "pipe")
    let late = try WorkerThread(name: "late")
    late.post {
      try? Files.writeAll(writing, Array("c".utf8), path: "pipe")
      close(writing)
    }
    #expect(try Files.read("/dev/fd/\(reading)", from: .fileOrPipe) == Array("abc".utf8))
    let path = "\(scratch.path)/pipe"
    #expect(mkfifo(path, 0o600) == 0)
    let error = #expect(throws: IOError.self) { try Files.read(path, from: .fileOrPipe) }
    #expect(error?.message == "is a pipe, and nobody writes to it")
  }

  @Test("an atomic write replaces the content, sets the mode and leaves no temporary file")
  func atomicWrite() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/token"
    try Files.writeAtomically(path, Array("old".utf8), mode: 0o644)
    try Files.writeAtomically(path, Array("new\n".utf8))
    #expect(try Files.readLine(path) == "new")
    #expect(try Files.status(path).mode & 0o7777 == 0o600)
    #expect(try Files.list(scratch.path) == ["token"])
    #expect(throws: IOError(code: ENOENT, operation: "create", subject: "\(scratch.path)/no/file.new")) {
      try Files.writeAtomically("\(scratch.path)/no/file", [1])
    }
  }

  @Test("directories are made with their parents and removed with their content, links not followed")
  func directories() throws {
    let scratch = try Scratch()
    try Files.makeDirectory("\(scratch.path)/a/b/c")
    try Files.makeDirectory("\(scratch.path)/a/b/c")
    #expect(try Files.status("\(scratch.path)/a/b/c").mode & 0o777 == 0o700)
    try Files.writeAtomically("\(scratch.path)/kept", [1])
    symlink(scratch.path, "\(scratch.path)/a/b/link")
    try Files.removeTree("\(scratch.path)/a")
    try Files.removeTree("\(scratch.path)/a")
    #expect(try Files.list(scratch.path) == ["kept"])
    #expect(try Files.space(scratch.path).available > 0)
    #expect(throws: IOError(code: ENOTDIR, operation: "make directory", subject: "\(scratch.path)/kept/x")) {
      try Files.makeDirectory("\(scratch.path)/kept/x")
    }
  }

  @Test("a released lock is free at once, also where a child that is being started still holds a copy of it")
  func lockCopies() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/lock"
    let first = try FileLock(path: path)
    let identity = try Files.status(path)
    // What fork does to it: another descriptor of the same open file.
    let copies = try Files.list("/proc/self/fd").compactMap { Int32($0) }.filter { descriptor in
      var facts = stat()
      return fstat(descriptor, &facts) == 0 && UInt64(facts.st_ino) == identity.inode
        && UInt64(facts.st_dev) == identity.device
    }.map { dup($0) }
    #expect(copies.count == 1)
    defer { for copy in copies { close(copy) } }
    first.release()
    try FileLock(path: path).release()
  }

  @Test("a second lock is refused with the holder's pid, and granted once the first is released")
  func locks() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/lock"
    let first = try FileLock(path: path)
    let error = #expect(throws: IOError.self) { _ = try FileLock(path: path) }
    #expect(error?.message == "held by process \(getpid())")
    first.release()
    #expect((try? FileLock(path: path)) != nil)
  }

  @Test("an appended file grows from what it held")
  func appends() throws {
    let scratch = try Scratch()
    let path = "\(scratch.path)/log"
    do {
      let file = try AppendFile(path: path)
      try file.append(Array("one\n".utf8))
    }
    let file = try AppendFile(path: path)
    #expect(file.size == 4)
    try file.append(Array("two\n".utf8))
    try file.sync()
    #expect(file.size == 8)
    #expect(String(decoding: try Files.read(path), as: UTF8.self) == "one\ntwo\n")
    #expect(throws: IOError(code: EFBIG, operation: "read", subject: path)) { try Files.read(path, limit: 7) }
  }

  @Test("hashes match the published vectors")
  func hashes() throws {
    #expect(
      SHA256.hex(of: Array("abc".utf8))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let random = try Crypto.randomBytes(32)
    #expect(Hexadecimal.bytes(Hexadecimal.text(random)) == random)
    #expect(Hexadecimal.bytes("0g") == nil)
    #expect(Hexadecimal.bytes("abc") == nil)
    #expect(Crypto.equal([1, 2], [1, 2]))
    #expect(!Crypto.equal([1, 2], [1, 3]))
    #expect(!Crypto.equal([1, 2], [1, 2, 3]))
  }

  @Test("a child gets its arguments, environment, directory and descriptors, and its exit code is reported")
  func child() throws {
    let scratch = try Scratch()
    let output = open("\(scratch.path)/out", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(output) }
    let loop = try EventLoop()
    var options = Child.Options(
      path: "/bin/sh", arguments: ["sh", "-c", "echo $1 $NAME; pwd; cat; echo seven >&7; exit 3", "sh", "arg"],
      environment: ["NAME=value"])
    options.descriptors = [1: output, 7: output]
    options.directory = scratch.path
    let child = try Child(options)
    var status: ProcessExit?
    try child.watch(loop: loop) { status = $0 }
    #expect(try turn(loop) { status != nil })
    #expect(status == .exited(code: 3))
    #expect(
      String(decoding: try Files.read("\(scratch.path)/out"), as: UTF8.self) == "arg value\n\(scratch.path)\nseven\n")
  }

  @Test("a signalled child is reported as such, and a missing program fails at the start")
  func childFailures() throws {
    let loop = try EventLoop()
    let child = try Child(Child.Options(path: "/bin/sleep", arguments: ["sleep", "1000"], environment: []))
    var status: ProcessExit?
    try child.watch(loop: loop) { status = $0 }
    child.signal(SIGTERM)
    #expect(try turn(loop) { status != nil })
    #expect(status == .signaled(signal: SIGTERM))
    #expect(status?.shellCode == 143)
    #expect(throws: IOError(code: ENOENT, operation: "start", subject: "/no/such")) {
      _ = try Child(Child.Options(path: "/no/such", arguments: ["x"], environment: []))
    }
  }

  @Test("a signal to this thread arrives as an event")
  func signals() throws {
    let loop = try EventLoop()
    var got: [Int32] = []
    let signals = try Signals(loop: loop, [SIGUSR2]) { got.append($0) }
    // To the thread, not the process: the test runner's other threads do not block it.
    pthread_kill(pthread_self(), SIGUSR2)
    #expect(try turn(loop) { !got.isEmpty })
    #expect(got == [SIGUSR2])
    withExtendedLifetime(signals) {}
  }

  @Test("the machine tells its facts")
  func machine() throws {
    let facts = try MachineFacts.read(fallbackMachineID: "fallback")
    #expect(facts.processors >= 1)
    #expect(facts.memory > 1 << 20)
    #expect(facts.bootID.utf8.count == 36)
    #expect(
      !facts.machineID.isEmpty && !facts.hostname.isEmpty && !facts.kernelRelease.isEmpty && !facts.osImage.isEmpty)
  }
}
