@main enum Stint { static func main() { print("stint") } }
