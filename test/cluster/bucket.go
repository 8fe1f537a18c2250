package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// CreateBucket makes an empty bucket at an S3 server that was started here.
func CreateBucket(ctx context.Context, endpoint, bucket string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := sdk(endpoint).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return fmt.Errorf("cluster: create bucket %s at %s: %w", bucket, endpoint, err)
	}
	return nil
}

// warm makes the first writes at a new server and removes what it wrote: Ceph makes its pools for objects
// and for multipart uploads only then, which takes seconds.
func warm(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	bucket, key := aws.String("warm-up"), aws.String("first")
	if err := CreateBucket(ctx, endpoint, *bucket); err != nil {
		return err
	}
	client := sdk(endpoint)
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("x")})
	if err != nil {
		return fmt.Errorf("cluster: the first write at %s: %w", endpoint, err)
	}
	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		return fmt.Errorf("cluster: the first multipart upload at %s: %w", endpoint, err)
	}
	_, err = client.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	if err != nil {
		return fmt.Errorf("cluster: the first part at %s: %w", endpoint, err)
	}
	_, aborted := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: upload.UploadId})
	_, deleted := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key})
	_, removed := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	if err := errors.Join(aborted, deleted, removed); err != nil {
		return fmt.Errorf("cluster: the first deletes at %s: %w", endpoint, err)
	}
	return nil
}

func sdk(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint),
		Region:       Region,
		Credentials:  credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
		UsePathStyle: true,
	})
}
