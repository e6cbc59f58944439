// What `make deb` puts into a package, looked at without installing it: `make package-test` does that.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("The Debian package")
struct PackageTests {
  private static let canPack = ["dpkg-deb", "gzip"].allSatisfy { Files.exists("/usr/bin/\($0)") }

  private static let expected =
    [
      "/etc/default/stint-agent", "/etc/default/stint-coordinator", "/lib/systemd/system/stint-agent.service",
      "/lib/systemd/system/stint-coordinator.service", "/usr/bin/stint",
      "/usr/share/bash-completion/completions/stint", "/usr/share/fish/vendor_completions.d/stint.fish",
      "/usr/share/zsh/vendor-completions/_stint",
    ] + manual
  private static let manual =
    ["/usr/share/man/man1/stint.1.gz"]
    + CommandTable.all.filter { !$0.hidden }.map { "/usr/share/man/man1/stint-\($0.name).1.gz" }

  /// Where the script is, beside these tests.
  private static let script: String = {
    let root = "\(#filePath)".split(separator: "/").dropLast(3).joined(separator: "/")
    return "/\(root)/compose/deb.sh"
  }()

  private static func run(_ line: String, in directory: String) throws -> String {
    unlink("\(directory)/output")
    // Debug binaries are large, and their libraries in no package.
    let program = try Program(
      ["-euo", "pipefail", "-c", line], path: "/bin/bash",
      environment: [
        "STINT_DEB_DEPENDS=libc6", "DPKG_DEB_COMPRESSOR_TYPE=none", "DEB=\(script)", "BINARY=\(Processes.program)",
      ], output: "\(directory)/output", directory: directory)
    let status = try program.end(within: 60)
    try check(status == 0, "\(line): \(program.text)")
    return program.text
  }

  @Test(
    "holds the binary, both units, completions and a man page of every command, and starts nothing by itself",
    .enabled(if: canPack, "there is no dpkg-deb here"))
  func contents() async throws {
    try await Blocking.run {
      let directory = "/tmp/stint-deb-\(getpid())-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
      try Files.makeDirectory(directory)
      defer { try? Files.removeTree(directory) }
      _ = try Self.run(
        "\"$DEB\" \"$BINARY\" . 1.2.3; mv *.deb package.deb; dpkg-deb -R package.deb root", in: directory)
      let files = try Self.run(
        "cd root; find . -type f -not -path './DEBIAN/*' | sed 's/^.//' | LC_ALL=C sort", in: directory)
      try checkEqual(files.split(separator: "\n").map(String.init).sorted(), Self.expected.sorted(), "files")
      let owners = try Self.run("dpkg-deb -c package.deb | awk '{print $2}' | sort -u", in: directory)
      try checkEqual(owners, "root/root\n", "owners")
      let facts = try Self.run("dpkg-deb -f package.deb Package Version Depends", in: directory)
      try checkEqual(facts, "Package: stint\nVersion: 1.2.3\nDepends: libc6\n", "facts")
      let conffiles = try Self.run("cat root/DEBIAN/conffiles", in: directory)
      try checkEqual(conffiles, "/etc/default/stint-coordinator\n/etc/default/stint-agent\n", "conffiles")
      let scripts = try Self.run("cat root/DEBIAN/p*", in: directory)
      try check(!scripts.contains("enable --now") && !scripts.contains("systemctl start"), "\(scripts)")
      let manual = try Self.run("zcat root/usr/share/man/man1/stint.1.gz", in: directory)
      for command in CommandTable.all where !command.hidden {
        try check(
          manual.contains("stint\\-\(command.name.replacing("-", with: "\\-"))"), "stint(1) lacks \(command.name)")
      }
      if Files.exists("/usr/bin/man") {
        let said = try Self.run(
          "for page in root/usr/share/man/man1/*; do man --warnings -E UTF-8 -l $page 2>&1 > /dev/null; done",
          in: directory)
        try checkEqual(said, "", "what man says of the manual")
      }
      for shell in ["bash", "zsh"] where Files.exists("/usr/bin/\(shell)") {
        let path = shell == "bash" ? "bash-completion/completions/stint" : "zsh/vendor-completions/_stint"
        _ = try Self.run("\(shell) -n root/usr/share/\(path)", in: directory)
      }
    }
  }
}
