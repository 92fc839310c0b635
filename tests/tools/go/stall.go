// A client that talks and does not listen: thousands of tiny notes, and no reply read for a while.
//
//	stall ADDRESS COUNT
//
// As python/stall.py: the host's handler stalls, the notes pile up in front of it, then every reply is read. Messages
// are written by hand, so that neither protoc nor generated code is needed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	timeout = 30 * time.Second
	stall   = 2 * time.Second
)

// raw passes messages as the bytes they are.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) ([]byte, error) { return message.([]byte), nil }

func (raw) Unmarshal(bytes []byte, into any) error {
	*into.(*[]byte) = bytes
	return nil
}

func point(latitude, longitude int) []byte {
	bytes := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(latitude))
	return protowire.AppendVarint(protowire.AppendTag(bytes, 2, protowire.VarintType), uint64(longitude))
}

func note(at []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), at)
}

func run(address string, count int) (replies int, err error) {
	// No retry to hide a failure, no proxy between.
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	chat, err := connection.NewStream(ctx, both, "/routeguide.RouteGuide/RouteChat")
	if err != nil {
		return 0, err
	}
	taken := make(chan error, 1)
	go func() {
		for number := range count {
			if err := chat.SendMsg(note(point(number%1000, 1))); err != nil {
				taken <- err
				return
			}
		}
		taken <- chat.CloseSend()
	}()
	time.Sleep(stall)
	var feature []byte
	if err := connection.Invoke(ctx, "/routeguide.RouteGuide/GetFeature", point(1, 0), &feature); err != nil {
		return 0, err
	}
	for {
		var reply []byte
		switch err := chat.RecvMsg(&reply); err {
		case nil:
			replies++
		case io.EOF:
			return replies, <-taken
		default:
			return replies, err
		}
	}
}

func main() {
	count, err := strconv.Atoi(os.Args[2])
	if err == nil {
		var replies int
		if replies, err = run(os.Args[1], count); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(map[string]any{"replies": replies, "version": grpc.Version})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
